// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection/networkstate_p.h"
#include "client/connection/sleepdetector_p.h"
#include "engine/event_p.h"
#include "engine/topology/backoff_p.h"

#include <AmqpQt/error.h>
#include <AmqpQt/recovery.h>

#include <QtCore/qdatetime.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>

namespace AmqpQt
{

class ConnectionPrivate;
class TopologyRestorer;

// Connects again after a connection was lost or could not be opened: decides whether that may help, waits, starts the
// attempts, and then has the topology and the channels restored. An outage lasts from the loss, or the first failed
// attempt, until the connection is open and everything is restored.
//
//   state       meaning                                            entered by
//   Off         no attempt follows                                 stop(), afterFailure()
//   Ready       the connection is open or is being opened          started(), opened(),
//                                                                  channelsRestored()
//   Waiting     the next attempt follows at m_nextAt               afterFailure()
//   Attempting  an attempt, one pass over the endpoints, is made   tick()
//   Restoring   the connection is open again; its topology is      opened()
//               declared while the channels are held, and then
//               these and their consumers start again
class Recovery
{
public:
    enum class Decision : quint8 {
        Continue, // another attempt follows
        GiveUp,   // none follows, and what has waited since the loss ends
        Close,    // recovery is off, or the connection has never been open
    };

    explicit Recovery(ConnectionPrivate &connection);
    ~Recovery();

    void setRandom(std::function<double()> random) { m_random = std::move(random); } // at least 0 and less than 1

    void setNetworkState(std::unique_ptr<NetworkState> state); // otherwise that of the system is used
    void setClock(std::function<Engine::Time()> clock) { m_clock = std::move(clock); }
    void setWallClock(std::function<SleepDetector::WallTime()> clock) { m_wallClock = std::move(clock); }
    Engine::Time now() const { return m_clock(); }

    void started(bool isOnDevice);                          // open() or openOn() starts its attempt
    bool hasBeenOpen() const noexcept { return m_wasOpen; } // since started()
    bool isOpen() const noexcept { return m_isOpen; }       // from connection.open-ok on
    bool opened();                                          // returns whether this is the first time since started()
    void channelsRestored(const Engine::ChannelsRestored &event);
    Decision afterFailure(const Error &reason); // of an attempt, or of the open connection
    bool stop();                                // returns whether it was waiting, so that nothing else has to end
    void reconnectNow();                        // ends the wait
    void report();                              // emits that it is waiting

    bool isOn() const; // whether a loss would be recovered from
    bool isWaiting() const noexcept { return m_state == State::Waiting; }
    int attempt() const noexcept { return m_lostSince.isValid() ? m_backoff.attempts() : 0; } // of this outage
    QDateTime lostSince() const { return m_lostSince; }
    std::chrono::milliseconds timeToNextAttempt() const; // 0 unless waiting

    std::optional<Engine::Time> deadline() const;
    void tick(Engine::Time now);

private:
    enum class State : quint8 { Off, Ready, Waiting, Attempting, Restoring };

    RecoveryPolicy policy() const; // of the current or the last attempt
    void endOutage();
    bool mayHelp(const Error &reason, bool wasOpen);
    bool hasTooManyViolations(const Error &reason, Engine::Time now);
    void scheduleAttempt(Engine::Time now);
    void hasten(); // since another attempt has better prospects than before
    void networkChanged();
    bool lacksNetwork() const;
    void restoreTopology();
    void topologyRestored(const Error &failure);
    void renameQueues(const QHash<QString, QString> &newNames);
    void releaseChannels();

    ConnectionPrivate &m_connection;
    std::function<double()> m_random;
    State m_state = State::Off;
    bool m_isOpen = false;
    bool m_wasOpen = false; // since started()
    Engine::Backoff m_backoff;
    Engine::Time m_failedAt;
    std::chrono::milliseconds m_delay{0}; // before the attempt that is waited for
    Engine::Time m_nextAt;
    std::unique_ptr<NetworkState> m_network; // created with the first outage
    std::function<Engine::Time()> m_clock;
    std::function<SleepDetector::WallTime()> m_wallClock;
    SleepDetector m_sleep;
    QDateTime m_lostSince;                                   // invalid without an outage
    std::array<std::optional<Engine::Time>, 2> m_violations; // the last two
    std::unique_ptr<TopologyRestorer> m_restorer;            // while it has something to do
    RecoveryReport m_report;                                 // as far as it is known
};

} // namespace AmqpQt
