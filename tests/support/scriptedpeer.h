// SPDX-License-Identifier: MIT
#pragma once

#include "support/peerconnection.h"
#include "support/tlsserver.h"

#include <QtCore/qmap.h>
#include <QtCore/qthread.h>
#include <QtCore/qurl.h>
#include <QtNetwork/qhostaddress.h>

#include <memory>
#include <optional>

// An AMQP broker on loopback that a test controls. By itself it performs the handshake and answers a client's requests
// (declares, binds, consume, get, confirms, closes), like a broker with no messages; a test can take over single
// methods, replace answers, send anything at any time and inspect everything that was received:
//
//     ScriptedPeer peer;
//     peer.closeInsteadOf("queue.declare-ok", 406, "PRECONDITION_FAILED - …");
//     …
//     QTRY_COMPARE(peer.count("channel.close-ok"), 1);
//     QCOMPARE(peer.violations(), QStringList());
//
// It lives in the thread that created it, or in its own thread for tests that wait without an event loop.
// Every function may be called in any thread; hooks run in the peer's.
class ScriptedPeer : public QObject
{
public:
    enum class Lives { InThisThread, InItsOwnThread };

    explicit ScriptedPeer(Lives lives = Lives::InThisThread);
    ~ScriptedPeer() override;

    quint16 port() const { return m_port; }
    QUrl url() const;                  // guest:guest, virtual host /; amqps with TLS
    void setListening(bool listening); // uses the same port again; connections stay open
    // Sets whether later connections are encrypted, and how. certificates.h has the certificates.
    void setTls(const std::optional<TlsSettings> &settings);

    struct Handshake : Offer {
        bool answersHeader = true; // if false, accepts the connection and sends nothing
        QByteArray greeting;       // sent instead of connection.start unless empty
        QByteArray mechanisms = "PLAIN AMQPLAIN";
        QByteArray locales = "en_US";
        QVariantMap serverProperties = rabbitMqProperties();
        QByteArrayList challenges; // each is sent in a connection.secure
        QByteArray blockedReason;  // unless empty, connection.blocked follows open-ok
    };
    void setHandshake(const Handshake &handshake);

    // Called before the answer. Returns true if the test has taken over and no answer is sent.
    using Hook = std::function<bool(const Command &)>;
    void setHook(Hook hook);
    void withhold(const QByteArray &answer); // "connection.tune"
    // Closes the channel, or the connection in place of an answer on channel 0.
    void closeInsteadOf(const QByteArray &answer, quint16 replyCode, const QByteArray &text);
    void answerAgain(const QByteArray &answer); // ends withhold() and closeInsteadOf()
    void setQueueCounts(const QString &queue, quint32 messages, quint32 consumers);

    // Applies to the present connection and to later ones. Sends pieces of this many bytes, or everything at
    // once if `bytes` is 0.
    void setPacing(qsizetype bytes, std::chrono::milliseconds interval = {});
    void setReading(bool reading); // if false, the client's bytes stay in the kernel, then in the client

    template <typename Method>
    void send(quint16 channel, const Method &method)
    {
        sendRaw(AmqpQt::Wire::encodeFrame(channel, method));
    }
    // Sends method, header and body frames. If `frameMax` is 0, the negotiated one applies.
    template <typename Method>
    void sendContent(quint16 channel, const Method &method, const AmqpQt::Wire::BasicProperties &properties,
                     const QByteArray &body, quint32 frameMax = 0)
    {
        inItsThread([&] {
            const Content content{.body = body, .properties = AmqpQt::Wire::encodeProperties(properties)};
            sendRaw(AmqpQt::Wire::encodeFrame(channel, method) +
                    contentFrames(channel, content, frameMax ? frameMax : m_frameMax));
        });
    }
    void deliver(quint16 channel, const QByteArray &consumerTag, quint64 deliveryTag, const QByteArray &body,
                 const AmqpQt::Wire::BasicProperties &properties = {});
    void sendHeartbeat();
    void sendRaw(const QByteArray &bytes);
    void closeConnection(quint16 replyCode,
                         const QByteArray &text); // sends connection.close, and closes the socket at close-ok
    void closeChannel(quint16 channel, quint16 replyCode, const QByteArray &text);
    void stayOpen();       // leaves it to the client to close the socket after close-ok, as RabbitMQ does
    void hangUp();         // closes the socket after writing, without connection.close
    void dropConnection(); // closes the socket at once

    static QByteArray table(const QVariantMap &table); // contents for the Table of a method

    int connectionCount() const;       // connections accepted so far, with TLS those with a complete handshake
    int acceptedCount() const;         // TCP connections accepted so far, also those without a complete handshake
    QByteArray indicatedName() const;  // the server's name in the latest TLS handshake (server_name_indication)
    bool isConnected() const;          // whether the latest connection is open
    QStringList socketErrors() const;  // of the latest connection
    QByteArray protocolHeader() const; // of the latest
    QList<Command> received() const;   // on all connections, in order; a content when it is complete
    QList<Command> received(const QByteArray &name) const;
    int count(const QByteArray &name) const;
    Command last(const QByteArray &name) const; // has no id if there was none
    void forgetReceived();
    int heartbeats() const;       // of the latest connection; so are the next two
    qint64 bytesReceived() const; // decrypted
    qsizetype largestFrame() const;
    QStringList violations() const; // anything that a client must not send, on all connections

private:
    struct Instead {
        quint16 replyCode = 0; // 0 if not set
        QByteArray text;
    };

    // Runs function in the peer's thread and waits for it.
    template <typename Function>
    auto inItsThread(Function &&function) const
    {
        using Result = std::invoke_result_t<Function>;
        if (QThread::currentThread() == thread())
            return function();
        auto *context = const_cast<ScriptedPeer *>(this);
        if constexpr (std::is_void_v<Result>) {
            QMetaObject::invokeMethod(context, std::forward<Function>(function), Qt::BlockingQueuedConnection);
        } else {
            std::optional<Result> result;
            QMetaObject::invokeMethod(
                context, [&] { result = function(); }, Qt::BlockingQueuedConnection);
            return *std::move(result);
        }
    }

    void accept();
    void greet();
    void take(const Command &command);
    void answer(const Command &command);
    template <typename Method>
    void answerMethod(const Command &command, const Method &method);
    template <typename Reply>
    void respond(quint16 channel, const Reply &reply);
    void tune();

    QThread m_thread;
    std::unique_ptr<TlsServer> m_server;
    std::unique_ptr<QTcpSocket> m_reservedPort; // while not listening
    quint16 m_port = 0;
    Handshake m_handshake;
    Hook m_hook;
    QMap<QByteArray, Instead> m_instead;
    QMap<QString, std::pair<quint32, quint32>> m_queueCounts;
    qsizetype m_paceBytes = 0;
    std::chrono::milliseconds m_paceInterval{};
    bool m_reading = true;
    bool m_staysOpen = false;

    // of the latest connection
    PeerConnection *m_connection = nullptr;
    quint32 m_frameMax = AmqpQt::Wire::SpecFrameMinimum;
    qsizetype m_challenge = 0;
    QMap<quint16, quint64> m_confirms; // channel in confirm mode, number of its latest publish

    QList<PeerConnection *> m_connections;
    QList<Command> m_received;
    int m_names = 0; // the number of generated names
};
