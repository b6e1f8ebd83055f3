// SPDX-License-Identifier: MIT
#pragma once

#include "wire/methods_p.h"

#include <QtCore/qendian.h>

#include <utility>

namespace AmqpQt::Wire
{

// Like visitMethod(), for the whole payload of a method frame, which begins with class-id and method-id.
template <typename Handler>
Visit visitPayload(QByteArrayView payload, Handler &&handler)
{
    constexpr qsizetype IdSize = 4;
    if (payload.size() < IdSize)
        return Visit::Malformed;
    const MethodId id{qFromBigEndian<quint16>(payload.data()), qFromBigEndian<quint16>(payload.data() + 2)};
    return visitMethod(id, payload.sliced(IdSize), std::forward<Handler>(handler));
}

} // namespace AmqpQt::Wire
