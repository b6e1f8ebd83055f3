// SPDX-License-Identifier: MIT
#include "client/reconnectingclient.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

using State = Connection::State;

// Tests the state that a user sees.
class tst_CalmState : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void followsTheStateWithoutAnOutage();
    void shortOutageDoesNotShow();
    void outageThatLastsShows();
    void outageShowsAtOnceWithoutACalmTime();
    void failedFirstAttemptShowsAtOnce();
    void endDuringAShortOutageShows();
    void textDescribesTheState();
    void textChangesOncePerChange();
    void slotMayDeleteTheConnection_data();
    void slotMayDeleteTheConnection();
};

namespace
{

// Records the calm states of a client.
class CalmClient : public ReconnectingClient
{
public:
    explicit CalmClient(std::chrono::milliseconds calmAfter)
        : ReconnectingClient(with(later().withCalmAfter(calmAfter)))
    {
        QObject::connect(&connection, &Connection::calmStateChanged, &connection,
                         [this](State state) { states.append(state); });
        QObject::connect(&connection, &Connection::stateTextChanged, &connection,
                         [this] { texts.append(connection.stateText()); });
    }
    QList<State> takeStates()
    {
        settleEvents();
        return std::exchange(states, {});
    }

    QList<State> states;
    QStringList texts;
};

} // namespace

void tst_CalmState::followsTheStateWithoutAnOutage()
{
    CalmClient client(Never);
    QCOMPARE(client.connection.calmState(), State::Closed);
    QVERIFY(client.open());
    QCOMPARE(client.connection.calmState(), State::Open);
    client.connection.close();
    QVERIFY(waitUntil([&] { return client.connection.state() == State::Closed; }));
    QCOMPARE(client.connection.calmState(), State::Closed);
    QCOMPARE(client.takeStates(),
             QList<State>({State::Connecting, State::Handshaking, State::Open, State::Closing, State::Closed}));
}

void tst_CalmState::shortOutageDoesNotShow()
{
    CalmClient client(Never);
    QVERIFY(client.open());
    client.takeStates();
    QVERIFY(client.lose());
    QVERIFY(client.fail());
    QCOMPARE(client.connection.state(), State::Recovering);
    QCOMPARE(client.connection.calmState(), State::Open);
    QVERIFY(client.recover());
    QCOMPARE(client.connection.calmState(), State::Open);
    QCOMPARE(client.takeStates(), QList<State>());
    QVERIFY(!ConnectionPrivate::of(&client.connection)->calm.deadline());
}

void tst_CalmState::outageThatLastsShows()
{
    CalmClient client(1ms);
    QVERIFY(client.open());
    client.takeStates();
    QVERIFY(client.lose());
    QVERIFY(waitUntil([&] { return client.connection.calmState() == State::Recovering; }));
    QVERIFY(client.fail());
    QVERIFY(client.recover());
    QCOMPARE(client.takeStates(), QList<State>({State::Recovering, State::Open}));
}

void tst_CalmState::outageShowsAtOnceWithoutACalmTime()
{
    CalmClient client(0ms);
    QVERIFY(client.open());
    client.takeStates();
    QVERIFY(client.lose());
    QCOMPARE(client.connection.calmState(), State::Recovering);
    QVERIFY(client.recover());
    QCOMPARE(client.takeStates(), QList<State>({State::Recovering, State::Open}));
}

void tst_CalmState::failedFirstAttemptShowsAtOnce()
{
    CalmClient client(Never);
    client.connection.open();
    client.broker().transport->fail(Unreachable);
    QVERIFY(waitUntil([&] { return client.isWaiting(); }));
    QCOMPARE(client.connection.calmState(), State::Recovering);
    QCOMPARE(client.takeStates(), QList<State>({State::Connecting, State::Recovering}));
}

void tst_CalmState::endDuringAShortOutageShows()
{
    CalmClient client(Never);
    QVERIFY(client.open());
    QVERIFY(client.lose());
    client.takeStates();
    client.connection.close();
    QCOMPARE(client.connection.calmState(), State::Closing);
    QVERIFY(waitUntil([&] { return client.connection.state() == State::Closed; }));
    QCOMPARE(client.takeStates(), QList<State>({State::Closing, State::Closed}));
}

void tst_CalmState::textDescribesTheState()
{
    CalmClient client(0ms);
    QCOMPARE(client.connection.stateText(), u"Not connected"_s);
    client.connection.open();
    QCOMPARE(client.connection.stateText(), u"Connecting"_s);
    QString textAtOpen;
    client.broker().hook = [&](const Frame &frame) {
        if (frame.is(Wire::ConnectionOpen::id))
            textAtOpen = client.connection.stateText();
        return false;
    };
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QCOMPARE(textAtOpen, u"Logging in"_s);
    QCOMPARE(client.connection.stateText(), u"Connected"_s);
    client.broker().send(Wire::ConnectionBlocked{.reason = "low on memory"});
    QVERIFY(waitUntil([&] { return client.connection.isBlocked(); }));
    QCOMPARE(client.connection.stateText(), u"Connected, blocked by the broker"_s);
    QVERIFY(client.lose());
    QCOMPARE(client.connection.stateText(), u"Reconnecting"_s);
    QVERIFY(client.fail());
    QCOMPARE(client.connection.stateText(), u"Reconnecting, attempt 2"_s);
    client.connection.setParameters(withoutRecovery());
    QVERIFY(client.fail());
    QVERIFY(waitUntil([&] { return client.connection.state() == State::Closed; }));
    QCOMPARE(client.connection.stateText(), u"Not connected: unreachable"_s);
}

void tst_CalmState::textChangesOncePerChange()
{
    CalmClient client(0ms);
    QVERIFY(client.open());
    QVERIFY(client.lose());
    QVERIFY(client.fail());
    QVERIFY(client.recover());
    client.connection.abort();
    QVERIFY(waitUntil([&] { return client.connection.state() == State::Closed; }));
    settleEvents();
    QCOMPARE(client.texts.first(), u"Connecting"_s);
    QCOMPARE(client.texts.last(), u"Not connected"_s);
    for (const QString &text : {u"Connected"_s, u"Reconnecting, attempt 2"_s})
        QCOMPARE(client.texts.count(text), 1 + (text == u"Connected"_s ? 1 : 0));
    for (qsizetype i = 1; i < client.texts.size(); ++i)
        QVERIFY(client.texts.at(i) != client.texts.at(i - 1));
}

void tst_CalmState::slotMayDeleteTheConnection_data()
{
    QTest::addColumn<bool>("isText");
    QTest::newRow("calmStateChanged") << false;
    QTest::newRow("stateTextChanged") << true;
}

void tst_CalmState::slotMayDeleteTheConnection()
{
    QFETCH(const bool, isText);
    ScriptedPeer peer;
    const QPointer<Connection> connection(new Connection(parametersOf(peer)));
    const auto remove = [connection] { delete connection; };
    if (isText)
        connect(connection, &Connection::stateTextChanged, this, remove);
    else
        connect(connection, &Connection::calmStateChanged, this, remove);
    const Reply<void> opening = connection->open();
    QVERIFY(waitUntil([&] { return !connection && opening.isFinished(); }));
    QCOMPARE(opening.result().error().kind(), ErrorKind::Cancelled);
    settleEvents();
}

QTEST_GUILESS_MAIN(tst_CalmState)

#include "tst_calmstate.moc"
