// SPDX-License-Identifier: MIT
#pragma once

#include "client/promise_p.h"

#include <QtCore/qcoreapplication.h>
#include <QtTest/qtest.h>

// Shared by the tests of replies.
namespace AmqpQt::Test
{

using namespace Qt::StringLiterals;
using Delivery = Promise<int>::Delivery;

inline const Error notFound(ErrorKind::ChannelClosed, u"NOT_FOUND"_s, 404, u"queue.declare"_s);

inline void processPostedEvents()
{
    QCoreApplication::sendPostedEvents();
}

inline void deliveries()
{
    QTest::addColumn<bool>("posted");
    QTest::newRow("direct") << false;
    QTest::newRow("posted") << true;
}

template <typename T>
void finish(const Promise<T> &promise, Result<T> result, bool posted)
{
    promise.finish(std::move(result), posted ? Delivery::Posted : Delivery::Direct);
}

} // namespace AmqpQt::Test
