// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection/authenticator_p.h"
#include "client/connection/calmstate_p.h"
#include "client/connection/connectionchannels_p.h"
#include "client/connection/connectionreplies_p.h"
#include "client/connection/connector_p.h"
#include "client/connection/dispatcher_p.h"
#include "client/connection/eventrouter_p.h"
#include "client/connection/flowreports_p.h"
#include "client/connection/mailbox_p.h"
#include "client/connection/recovery_p.h"
#include "client/connection/transportlink_p.h"
#include "client/connection/turnscheduler_p.h"
#include "engine/connection/connectionengine_p.h"

#include <AmqpQt/connection.h>
#include <AmqpQt/message.h>

#include <QtCore/qlist.h>

#include <memory>

namespace AmqpQt
{

class ChannelPrivate;
class HelperChannel;

// Joins transport and engine, and runs the dispatch loop, the only place that calls the application's code.
class ConnectionPrivate final : public QObject, public SettlementTarget, public TurnTaker
{
    Q_OBJECT
public:
    using Delivery = Internal::ReplyStateBase::Delivery;

    explicit ConnectionPrivate(Connection *connection);
    ~ConnectionPrivate() override; // NOLINT(bugprone-exception-escape)
    static ConnectionPrivate *of(const Connection *connection) { return connection->d.get(); }

    // Returns false, with a warning that names the function, outside the connection's thread.
    bool isOwnThread(const char *function) const { return mailbox->isOwnThread() || !isForeignThread(function); }
    bool isLost() const;               // not reported to the application yet
    bool isAttempting() const noexcept // also while the next attempt is waited for
    {
        return state == Connection::State::Connecting || state == Connection::State::Handshaking ||
               state == Connection::State::Recovering;
    }
    // The parameters of the current attempt or connection, or otherwise of the next attempt.
    const ConnectionParameters &activeParameters() const
    {
        return state == Connection::State::Closed ? parameters : connector.parameters();
    }

    void setParameters(const ConnectionParameters &newParameters); // takes effect with the next open()
    void setUrl(const QUrl &url);
    Reply<void> open();
    Reply<void> openOn(std::unique_ptr<QIODevice> device);
    Reply<void> close();
    void abort();
    // Returns the reply to a call of the connection itself.
    Reply<void> reply(const char *function, const std::function<Result<Engine::CallId>()> &call);
    Reply<void> updateSecret(const QString &newSecret, const QString &reason);
    bool hasReceiver(const QMetaMethod &signal) const;
    void receiversChanged(); // of credentialsRequested(); called in any thread, takes effect later
    void noteParametersChanged();

    void addCall(Engine::CallId id, CallHandler handler);
    void finishCallsOf(const Engine::ChannelEngine *channel); // called for an ended channel; bypasses the dispatch loop
    void takeSettlements();                                   // takes the settlements of other threads
    void outputAdded() // called by a publish; writes now if there is much output, otherwise at the end of the turn
    {
        ++m_messagesOut;
        if (engine.wantsWrite())
            link.writeNow();
        scheduler.schedule();
    }
    void setOpen();                            // the connection and its channels can be used
    void setState(Connection::State newState); // stores and emits the state
    void setProgress(Connection::State step);  // the same for the steps of an attempt, which a recovery does not show
    void setError(const Error &newError);      // stores and emits the reason why the connection ended or failed to open
    void reportCallError(const Error &reason); // stores and emits the reason why a call was rejected
    HelperChannel &helperChannel();
    Connection::Statistics statistics() const
    {
        return {router.messagesIn(), m_messagesOut, link.bytesIn(), link.bytesOut()};
    }

    // engine events
    void onOpened();
    void onClosed(Engine::ConnectionClosed &event);

    // SettlementTarget
    void settleNow(const Settlement &settlement) override;
    bool isUnsettled(const Settlement &delivery) const override;
    void wakeForSettlements() override;

    // TurnTaker
    void takeTurn() override;
    void deadlineReached() override;

    Connection *const q;
    ConnectionParameters parameters; // the parameters of the next open()
    Connection::State state = Connection::State::Closed;
    Error error;
    Error lastCallError;
    Engine::ConnectionEngine engine;
    TurnScheduler scheduler;
    Dispatcher dispatcher;
    EventRouter router;
    Authenticator authenticator;
    FlowReports flow;
    TransportLink link;
    Connector connector;
    Recovery recovery;
    CalmState calm;
    std::shared_ptr<Mailbox> mailbox;
    ConnectionChannels channels;
    ConnectionReplies replies{dispatcher};

protected:
    bool event(QEvent *event) override;

private:
    bool isForeignThread(const char *function) const;
    void configureEngine();
    void startAttempt(std::unique_ptr<Transport> device = {});
    void recoverFrom(const Error &reason);
    bool stopAttempts(); // returns whether an attempt was waited for
    void cancelWaiting();

    // Returns false if the time is used up or the connection was deleted.
    bool dispatchEvents(Engine::Time deadline, const Dispatcher::Guard &guard);
    void endTurn(const Dispatcher::Guard &guard);
    bool hasWork() const; // whether another turn is needed
    void setDeadline(Engine::Time time);

    HelperChannel *m_helperChannel = nullptr; // a child, created on demand
    quint64 m_messagesOut = 0;
};

} // namespace AmqpQt
