// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelengine_p.h"
#include "engine/connection/connectionengine_p.h"
#include "support/brokersession.h"
#include "support/engineevents.h"
#include "wire/fieldtable_p.h"
#include "wire/methods_p.h"
#include "wire/trace_p.h"

#include <QtCore/qset.h>

#include <deque>
#include <map>
#include <optional>

namespace Engine = AmqpQt::Engine;
namespace Wire = AmqpQt::Wire;

// The number of deliveries that ackUpTo() or nackUpTo() has settled.
inline int countOf(const std::vector<Engine::Deliveries::Settled> &settled)
{
    int count = 0;
    for (const auto &run : settled)
        count += run.count;
    return count;
}

// A dialogue with a broker, without sockets: an engine, and a session for the broker's side. Time passes only by
// advance() and sleep(). An expectation that fails marks the test as failed and names the line of the test.
class Script : public Engine::ChannelClient, public Engine::ConsumerClient
{
public:
    struct Here // the place of an expectation in the test
    {
        Here(const char *fileName = __builtin_FILE(), int lineNumber = __builtin_LINE())
            : file(fileName)
            , line(lineNumber)
        {
        }
        const char *file;
        int line;
    };

    explicit Script(const Engine::Settings &settings = defaultSettings());
    ~Script();
    Script(const Script &) = delete;
    Script &operator=(const Script &) = delete;

    static Engine::Settings defaultSettings(); // without heartbeats, so that time can pass freely

    Engine::Settings settings;
    Engine::ConnectionEngine engine;
    Engine::Time now{std::chrono::hours(1)};
    qsizetype pieceSize = 0; // how many bytes of the broker one feed() passes; 0 for as many as the engine takes
    bool checksRules = true; // a violation of ClientRules fails the test

    Script &start(Here = {}); // as far as the protocol header
    Script &brokerStart(const QByteArray &properties = encodedServerProperties(),
                        const QByteArray &mechanisms = "AMQPLAIN PLAIN");
    Script &open(const Offer &offer = {}, Here = {}); // from start() to the event Opened
    Script &openTo(const QByteArray &serverProperties, const Offer &offer = {}, Here = {}); // the same, to this broker
    Engine::ChannelEngine &newChannel(quint16 number = 0); // 0 for the smallest free number; does not call open()
    Engine::ChannelEngine &openChannel(quint16 number = 0, Here = {});
    std::shared_ptr<Engine::ConsumerEntry> subscribe(Engine::ChannelEngine &channel, const QString &tag,
                                                     AmqpQt::ConsumeOptions options = {}, Here = {});

    template <typename Method>
    Script &broker(const Method &method, quint16 channel = defaultChannel<Method>())
    {
        return brokerBytes(Wire::encodeFrame(channel, method));
    }
    Script &brokerBytes(const QByteArray &bytes);
    Script &deliver(const QByteArray &tag, quint64 deliveryTag, const Content &content = {}, quint16 channel = 1);
    Script &getOk(quint64 deliveryTag, const Content &content = {}, quint16 channel = 1, quint32 remaining = 0);

    template <typename Method>
    Script &expectSent(quint16 channel = defaultChannel<Method>(), Here here = {})
    {
        return expectSent<Method>([](const Method &) {}, channel, here);
    }
    template <typename Method, typename Check>
    requires std::invocable<Check, const Method &> Script &
    expectSent(Check check, quint16 channel = defaultChannel<Method>(), Here here = {})
    {
        const Frame sent = takeSentMethod(Method::id, Method::name, channel, here);
        Method method;
        if (!sent.payload.isEmpty() && !Wire::decodeArguments(sent.arguments(), method))
            check(std::as_const(method));
        return *this;
    }
    template <typename Method>
    Script &expectSent(const Method &expected, quint16 channel = defaultChannel<Method>(), Here here = {})
    {
        return expectSent<Method>(
            [&](const Method &sent) {
                if (Wire::encodePayload(sent) != Wire::encodePayload(expected))
                    fail(QStringLiteral("expected %1, sent was %2").arg(Wire::describe(expected), Wire::describe(sent)),
                         here);
            },
            channel, here);
    }
    // basic.publish, its header and all its bodies.
    Script &expectPublished(const QByteArray &body, const QByteArray &routingKey, quint16 channel = 1, Here = {});
    Script &expectHeartbeatSent(Here = {});
    Script &expectNothingSent(Here = {});
    std::deque<Frame> takeSent(); // takes all frames

    template <typename E>
    E takeEvent(Here here = {})
    {
        if (nextEvent() && std::holds_alternative<E>(m_event->event))
            return std::get<E>(m_event->event);
        fail(QStringLiteral("expected the event %1, not %2").arg(eventName<E>(), describeEvent()), here);
        return {};
    }
    template <typename E>
    Script &expectEvent(Here here = {})
    {
        takeEvent<E>(here);
        return *this;
    }
    template <typename E, typename Check>
    requires std::invocable<Check, const E &> Script &expectEvent(Check check, Here here = {})
    {
        check(takeEvent<E>(here));
        return *this;
    }
    Script &expectNoEvent(Here = {});
    Script &expectReply(Engine::CallId call, Here = {}); // the next event is a well-formed reply
    Script &expectReply(Engine::CallId call, AmqpQt::ErrorKind kind, Here = {});
    template <typename Value>
    Value takeReply(Engine::CallId call, Here here = {})
    {
        const auto reply = takeEvent<Engine::ReplyArrived>(here);
        if (reply.call == call && std::holds_alternative<Value>(reply.value))
            return std::get<Value>(reply.value);
        fail(QStringLiteral("not the expected reply: call %1, not %2, or not its value").arg(reply.call).arg(call),
             here);
        return {};
    }
    AmqpQt::Error takeConnectionClosed(Here = {});                       // skips earlier events
    int repeatedCount() const { return m_engineEvents.repeatedCount(); } // deliveries reported as RepeatedDelivery
    // Takes all remaining events, in order: {"ReplyArrived 3 Network", "ChannelClosed 1 Network", "ConnectionClosed
    // Network"}.
    QStringList takeEvents();

    Script &advance(Engine::Milliseconds time); // the timer fires whenever it is due, and output is written
    Script &sleep(Engine::Milliseconds time);   // the timer fires once, at the end, as if the loop had been blocked

    void write(); // all output
    void failTest(const QString &what, Here here) { fail(what, here); }

private:
    struct KeptEvent // owns the bytes to which the views of the event refer
    {
        Engine::Event event;
        QByteArray exchange;
        QByteArray routingKey;
    };
    template <typename Method>
    static constexpr quint16 defaultChannel()
    {
        return Method::id.classId == Wire::ConnectionStart::id.classId ? 0 : 1;
    }
    template <typename E>
    static QString eventName()
    {
        return describe(Engine::Event(std::in_place_type<E>));
    }
    static QString describe(const Engine::Event &event);
    QString describeEvent() const;
    Frame takeSentMethod(Wire::MethodId id, const char *name, quint16 channel, Here here);
    bool nextEvent();
    void pump(); // takes the events of the engine
    void keep(Engine::Event event);
    void checkRules();
    void fail(const QString &what, Here here);

    std::map<quint16, std::shared_ptr<Engine::ChannelEngine>> m_channels;
    EngineEvents m_engineEvents;
    std::deque<KeptEvent> m_events;
    std::optional<KeptEvent> m_event; // the last event that was taken
    QSet<Engine::CallId> m_endedCalls;
    int m_connectionsClosed = 0;
    int m_connectionsStarted = 0;
    std::deque<Frame> m_sent;
    BrokerSession m_session;
};
