// SPDX-License-Identifier: MIT
#include "engine/arguments/deniedfeatures_p.h"

#include "wire/fieldtable_p.h"
#include "wire/methodpayload_p.h"

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

namespace
{

QString denied(const Wire::QueueDeclare &method)
{
    if (method.passive)
        return {};
    const auto queue = [&method](const QString &feature) {
        return u"queue \"%1\": %2"_s.arg(Wire::decodeText(method.queue), feature);
    };
    if (!method.durable && !method.exclusive) {
        return queue(u"it is neither durable nor exclusive; declare it as durable, with QueueOptions::withExpiry() if "
                     "it is to be deleted when nobody uses it"_s);
    }
    const FieldTable arguments = Wire::decodeTable(method.arguments.contents);
    if (arguments.contains(u"x-queue-mode"_s))
        return queue(u"the argument x-queue-mode no longer exists; leave it out"_s);
    if (arguments.value(u"x-queue-version"_s).toInt() == 1)
        return queue(u"version 1 of classic queues no longer exists; leave out the argument x-queue-version"_s);
    if (arguments.contains(u"x-queue-master-locator"_s)) {
        return queue(u"the argument x-queue-master-locator no longer exists; use QueueOptions::withLeaderLocator() "
                     "with a quorum queue or a stream"_s);
    }
    const QString type = arguments.value(u"x-queue-type"_s).toString();
    if (arguments.contains(u"x-consumer-timeout"_s) && !type.isEmpty() && type != "quorum"_L1) {
        return queue(u"the argument x-consumer-timeout is for quorum queues, but the type is %1; leave the argument "
                     "out, or use QueueOptions::quorum()"_s.arg(type));
    }
    return {};
}

QString denied(const Wire::BasicQos &method)
{
    return method.global ? u"the prefetch is for the whole channel; use Channel::PrefetchScope::PerConsumer"_s
                         : QString();
}

} // namespace

QString deniedFeature(QByteArrayView payload)
{
    QString feature;
    Wire::visitPayload(payload, [&feature](const auto &method) {
        if constexpr (requires { denied(method); })
            feature = denied(method);
    });
    return feature;
}

} // namespace AmqpQt::Engine
