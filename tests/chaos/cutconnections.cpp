// SPDX-License-Identifier: MIT
#include "chaos/brokernode.h"
#include "chaos/streams.h"
#include "support/faultproxy.h"
#include "support/waiting.h"

#include <QtCore/qthread.h>

#include <cmath>
#include <limits>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using Kind = NetworkFault::Kind;
using Direction = NetworkFault::Direction;

namespace
{

// A fault of a random kind at a random place. Most places are within the handshake or soon after it.
NetworkFault randomFault(QRandomGenerator &random)
{
    constexpr double HighestPlace = 300'000;
    NetworkFault fault;
    fault.kind = Kind(random.bounded(int(Kind::Reset), int(Kind::Delay) + 1));
    fault.direction = random.bounded(2) ? Direction::ToBroker : Direction::ToClient;
    fault.afterBytes = qint64(std::exp(random.bounded(std::log(HighestPlace))));
    fault.bytesPerSecond = 1000 + random.bounded(50'000);
    fault.delay = std::chrono::milliseconds(1 + random.bounded(200));
    // Half of the silent faults last, so that heartbeats or timeouts must detect them.
    const bool isSilent = fault.kind == Kind::BlackHole || fault.kind == Kind::Stall;
    if (!isSilent || random.bounded(2))
        fault.resetAfter = std::chrono::milliseconds(50 + random.bounded(1000));
    return fault;
}

// A proxy with random faults, in a thread of its own.
class ProxyThread
{
public:
    ProxyThread(quint16 brokerPort, int faults, quint32 seed)
        : m_proxy(new FaultProxy(brokerPort))
    {
        m_proxy->setFaults([proxy = m_proxy, faults, random = QRandomGenerator(seed)](int) mutable {
            return proxy->faultCount() < faults ? randomFault(random) : NetworkFault();
        });
        m_proxy->moveToThread(&m_thread);
        m_thread.start();
    }
    ~ProxyThread()
    {
        m_proxy->deleteLater();
        m_thread.quit();
        m_thread.wait();
    }
    ProxyThread(const ProxyThread &) = delete;
    ProxyThread &operator=(const ProxyThread &) = delete;

    FaultProxy *operator->() const { return m_proxy; }

private:
    QThread m_thread;
    FaultProxy *const m_proxy;
};

struct Path {
    Path(const QString &name, bool isEncrypted, int cuts, QRandomGenerator &random)
        : direct(chaosParameters(isEncrypted))
        , proxy(direct.endpoints().constFirst().effectivePort(), cuts, random.generate())
        , streams(proxied(), name, random.generate())
    {
    }

    ConnectionParameters proxied() const
    {
        ConnectionParameters parameters = direct;
        Endpoint endpoint = parameters.endpoints().constFirst();
        endpoint.port = proxy->serverPort();
        parameters.setEndpoints({endpoint});
        parameters.setHeartbeatInterval(1s); // detects silent faults soon
        return parameters;
    }

    const ConnectionParameters direct;
    const ProxyThread proxy;
    Streams streams;
};

} // namespace

Outcome cutConnections(const Settings &settings)
{
    constexpr int PathCount = 4;
    QRandomGenerator random(settings.seed + 1);
    BrokerNode node;
    std::vector<std::unique_ptr<Path>> paths;
    const int share = (settings.cuts + PathCount - 1) / PathCount;
    for (int i = 0; i < PathCount; ++i) {
        const bool isEncrypted = i % 2 == 1;
        paths.push_back(std::make_unique<Path>(u"%1-%2"_s.arg(isEncrypted ? "tls"_L1 : "plain"_L1).arg(i), isEncrypted,
                                               share, random));
        paths.back()->streams.open(0ms); // the first attempt meets faults, too
        paths.back()->streams.publishUpTo(std::numeric_limits<quint64>::max());
    }

    const auto cuts = [&] {
        int count = 0;
        for (const auto &path : paths)
            count += path->proxy->faultCount();
        return count;
    };
    int last = 0;
    while (last < share * PathCount) {
        if (!waitFor([&] { return cuts() >= std::min(last + 10, share * PathCount); }, settings.patience * 5)) {
            for (const auto &path : paths) {
                if (path->proxy->faultCount() < share)
                    path->streams.fail(u"it stands still after cut %1"_s.arg(path->proxy->faultCount()));
            }
            break;
        }
        last = cuts();
        progress(u"cut %1 of %2"_s.arg(last).arg(share * PathCount));
    }

    Outcome outcome;
    for (const auto &path : paths)
        path->streams.stop();
    for (const auto &path : paths) {
        const Outcome one = path->streams.finish(path->direct, settings.patience);
        outcome.verdict.add(one.verdict);
        for (auto figure = one.figures.begin(); figure != one.figures.end(); ++figure)
            outcome.figures[figure.key()] = outcome.figures[figure.key()].toInteger() + figure.value().toInteger();
    }
    outcome.figures[u"cuts"_s] = cuts();
    outcome.verdict.add(Violation::StaleAck, u"in the broker's log"_s, node.staleAckCount());
    return outcome;
}
