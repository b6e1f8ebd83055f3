// SPDX-License-Identifier: MIT
#include "chaos/brokernode.h"
#include "chaos/streams.h"
#include "chaos/topologymodel.h"
#include "support/waiting.h"

#include <algorithm>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

Outcome killBroker(const Settings &settings)
{
    constexpr int ChecksOfTopology = 5;
    constexpr quint64 StreamCount = 4;
    QRandomGenerator random(settings.seed);
    BrokerNode node;
    const AmqpQt::ConnectionParameters parameters = chaosParameters();
    Streams streams(parameters, u"kill"_s, random.generate());
    Verdict verdict;
    if (!streams.open(settings.patience))
        streams.fail(u"the connection does not open"_s);

    const quint64 share = settings.messages / quint64(settings.kills);
    for (int kill = 1; kill <= settings.kills; ++kill) {
        const quint64 before = streams.publishedCount();
        streams.publishUpTo(quint64(kill) * share / StreamCount);
        const quint64 at = before + quint64(double(share) * random.bounded(0.95));
        waitFor([&] { return streams.publishedCount() >= at; }, settings.patience);
        const int losses = streams.lossCount();
        node.kill();
        if (!waitFor([&] { return streams.lossCount() > losses; }, settings.patience)) {
            streams.fail(u"kill %1 is not noticed"_s.arg(kill));
            break;
        }
        if (!node.start()) {
            streams.fail(u"the broker does not start: "_s + node.errors());
            break;
        }
        if (!waitFor([&] { return streams.isRecovered(); }, settings.patience)) {
            streams.fail(u"no recovery after kill %1"_s.arg(kill));
            break;
        }
        if (kill % std::max(settings.kills / ChecksOfTopology, 1) == 0) {
            TopologyModel model;
            for (const QString &entity : streams.entities())
                model.insert(entity);
            for (const QString &difference : node.differences(model))
                verdict.add(Violation::TopologyDiffers, u"kill %1, %2"_s.arg(kill).arg(difference));
        }
        progress(u"kill %1 of %2: %3 messages"_s.arg(kill).arg(settings.kills).arg(streams.publishedCount()));
    }
    if (!streams.waitUntilQuiet(settings.patience))
        streams.fail(u"not everything has been published"_s);
    Outcome outcome = streams.finish(parameters, settings.patience);
    verdict.add(Violation::StaleAck, u"in the broker's log"_s, node.staleAckCount());
    outcome.verdict.add(verdict);
    return outcome;
}
