// SPDX-License-Identifier: MIT
#pragma once

#include "support/messages.h"

// Messages for the tests of the models.
namespace AmqpQt::Test
{

// Returns a delivery with this routing key. The key is also the body unless a body is given.
inline Message keyed(const QByteArray &key, const QByteArray &body)
{
    DeliveryOrigin origin;
    origin.routingKey = QString::fromUtf8(key);
    return delivered(body, {}, origin);
}

inline Message keyed(const QByteArray &key)
{
    return keyed(key, key);
}

} // namespace AmqpQt::Test
