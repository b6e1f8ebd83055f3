// SPDX-License-Identifier: MIT
#include "chaos/brokernode.h"
#include "chaos/scenarios.h"
#include "chaos/subscribers.h"
#include "chaos/topologymodel.h"
#include "support/waiting.h"

#include <QtCore/qrandom.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

Outcome restartBroker(const Settings &settings)
{
    QRandomGenerator random(settings.seed + 2);
    BrokerNode node;
    Connection connection(chaosParameters());
    ConnectionWatch watch(&connection, u"restart"_s);
    Subscribers subscribers(&connection, &watch, settings.queuesOfEachKind);
    connection.open();

    // Whether the topology is that of the model, and whether each consumer receives one message.
    const auto check = [&](int restart) {
        for (const QString &difference : node.differences(subscribers.model()))
            watch.fail(Violation::TopologyDiffers, u"restart %1, %2"_s.arg(restart).arg(difference));
        subscribers.publishToEach(restart);
        waitFor([&] { return subscribers.isServed(); }, settings.patience);
        for (const QString &key : subscribers.unserved())
            watch.fail(Violation::NotRestored, u"restart %1, %2 has received nothing"_s.arg(restart).arg(key));
    };

    if (!waitFor([&] { return subscribers.isActive(); }, settings.patience))
        watch.fail(u"not every consumer has started"_s);
    check(0);
    for (int restart = 1; restart <= settings.restarts; ++restart) {
        const int losses = watch.ledger().lossCount();
        if (restart % 2 == 1)
            node.kill();
        else
            node.stopApplication();
        const auto isLost = [&] { return watch.ledger().lossCount() > losses; };
        const auto isRecovered = [&] { return watch.ledger().isRecovered() && connection.isOpen(); };
        if (!waitFor(isLost, settings.patience) || !node.start() || !waitFor(isRecovered, settings.patience)) {
            watch.fail(u"no recovery after restart %1; %2"_s.arg(restart).arg(node.errors()));
            break;
        }
        if (!waitFor([&] { return subscribers.isActive(); }, settings.patience))
            watch.fail(Violation::NotRestored, u"restart %1, not every consumer is active"_s.arg(restart));
        check(restart);
        subscribers.change(random);
        if (!waitFor([&] { return subscribers.isActive(); }, settings.patience))
            watch.fail(u"the changes after restart %1 have no effect"_s.arg(restart));
        progress(u"restart %1 of %2"_s.arg(restart).arg(settings.restarts));
    }
    watch.end();
    const auto closing = connection.close();
    waitFor([&] { return closing.isFinished(); }, settings.patience);
    Outcome outcome{watch.ledger().verdict(), {}};
    outcome.verdict.add(Violation::StaleAck, u"in the broker's log"_s, node.staleAckCount());
    outcome.figures = {{u"consumers"_s, int(subscribers.count())},
                       {u"losses"_s, watch.ledger().lossCount()},
                       {u"renamed"_s, subscribers.renamedCount()},
                       {u"delivered"_s, subscribers.receivedCount()}};
    return outcome;
}
