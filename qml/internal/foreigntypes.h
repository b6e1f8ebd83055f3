// SPDX-License-Identifier: MIT
#pragma once

#include "qmlerror.h"
#include "qmlmessage.h"

#include <AmqpQt/connection.h>
#include <AmqpQt/message.h>

#include <QtQml/qqml.h>
#include <QtQml/qqmlregistration.h>

// The library's own types in QML.
namespace AmqpQt
{

struct ForeignMessage {
    Q_GADGET
    QML_FOREIGN(AmqpQt::Message)
    QML_VALUE_TYPE(amqpMessage)
    QML_EXTENDED(AmqpQt::QmlMessage)
};

struct ForeignMessageList {
    Q_GADGET
    QML_FOREIGN(QList<AmqpQt::Message>)
    QML_ANONYMOUS
    QML_SEQUENTIAL_CONTAINER(AmqpQt::Message)
};

struct ForeignDecimal {
    Q_GADGET
    QML_FOREIGN(AmqpQt::Decimal)
    QML_VALUE_TYPE(amqpDecimal)
};

struct ForeignError {
    Q_GADGET
    QML_FOREIGN(AmqpQt::Error)
    QML_VALUE_TYPE(amqpError)
    QML_EXTENDED(AmqpQt::QmlError)
};

struct ForeignQueueInfo {
    Q_GADGET
    QML_FOREIGN(AmqpQt::QueueInfo)
    QML_VALUE_TYPE(amqpQueueInfo)
};

struct ForeignRecoveryReport {
    Q_GADGET
    QML_FOREIGN(AmqpQt::RecoveryReport)
    QML_VALUE_TYPE(amqpRecoveryReport)
};

struct ForeignConnection {
    Q_GADGET
    QML_FOREIGN(AmqpQt::Connection)
    QML_ANONYMOUS
};

namespace ForeignNamespace
{
Q_NAMESPACE
QML_FOREIGN_NAMESPACE(AmqpQt)
QML_NAMED_ELEMENT(Amqp)
} // namespace ForeignNamespace

} // namespace AmqpQt
