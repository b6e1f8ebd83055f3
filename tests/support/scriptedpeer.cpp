// SPDX-License-Identifier: MIT
#include "support/scriptedpeer.h"

#include "wire/fieldtable_p.h"

#include <QtNetwork/qtcpsocket.h>

using namespace AmqpQt;
using namespace AmqpQt::Wire;
using namespace Qt::StringLiterals;

ScriptedPeer::ScriptedPeer(Lives lives)
{
    if (lives == Lives::InItsOwnThread) {
        m_thread.start();
        moveToThread(&m_thread);
    }
    inItsThread([this] {
        m_server = std::make_unique<TlsServer>();
        connect(m_server.get(), &TlsServer::newConnection, this, &ScriptedPeer::accept);
    });
    setListening(true);
}

ScriptedPeer::~ScriptedPeer()
{
    inItsThread([this] {
        m_server.reset();
        m_reservedPort.reset();
        qDeleteAll(m_connections);
    });
    m_thread.quit();
    m_thread.wait();
}

QUrl ScriptedPeer::url() const
{
    const bool isEncrypted = inItsThread([this] { return m_server->tls().has_value(); });
    const QString scheme = isEncrypted ? u"amqps"_s : u"amqp"_s;
    return QUrl(u"%1://guest:guest@127.0.0.1:%2/%3"_s.arg(scheme, QString::number(port()), u"%2F"_s));
}

void ScriptedPeer::setTls(const std::optional<TlsSettings> &settings)
{
    inItsThread([&] { m_server->setTls(settings); });
}

void ScriptedPeer::setListening(bool listening)
{
    inItsThread([&] {
        if (!listening) {
            m_server->close();
            // Keeps the port, on which another process could listen otherwise.
            m_reservedPort = std::make_unique<QTcpSocket>();
            if (!m_reservedPort->bind(QHostAddress::LocalHost, m_port, QAbstractSocket::ReuseAddressHint))
                qFatal("ScriptedPeer cannot reserve its port: %s", qPrintable(m_reservedPort->errorString()));
            return;
        }
        m_reservedPort.reset();
        if (m_server->listen(QHostAddress::LocalHost, m_port)) {
            m_port = m_server->serverPort();
        } else {
            qFatal("ScriptedPeer cannot listen: %s", qPrintable(m_server->errorString()));
        }
    });
}

void ScriptedPeer::accept()
{
    while (QTcpSocket *socket = m_server->nextPendingConnection()) {
        m_connection = new PeerConnection(socket, int(m_connections.size()) + 1, this);
        m_connections.append(m_connection);
        m_frameMax = SpecFrameMinimum;
        m_challenge = 0;
        m_confirms.clear();
        m_connection->headerReceived = [this, connection = m_connection] {
            if (connection == m_connection) // otherwise a client of another test has used this port
                greet();
        };
        m_connection->commandReceived = [this, connection = m_connection](const Command &command) {
            m_received.append(command);
            if (connection == m_connection) // earlier connections get no more answers
                take(command);
        };
        m_connection->setPacing(m_paceBytes, m_paceInterval);
        m_connection->setReading(m_reading); // may handle bytes at once
    }
}

void ScriptedPeer::setHandshake(const Handshake &handshake)
{
    inItsThread([&] { m_handshake = handshake; });
}

void ScriptedPeer::setHook(Hook hook)
{
    inItsThread([&] { m_hook = std::move(hook); });
}

void ScriptedPeer::withhold(const QByteArray &answer)
{
    inItsThread([&] { m_instead.insert(answer, {}); });
}

void ScriptedPeer::closeInsteadOf(const QByteArray &answer, quint16 replyCode, const QByteArray &text)
{
    inItsThread([&] { m_instead.insert(answer, {replyCode, text}); });
}

void ScriptedPeer::answerAgain(const QByteArray &answer)
{
    inItsThread([&] { m_instead.remove(answer); });
}

void ScriptedPeer::setQueueCounts(const QString &queue, quint32 messages, quint32 consumers)
{
    inItsThread([&] { m_queueCounts.insert(queue, {messages, consumers}); });
}

void ScriptedPeer::setPacing(qsizetype bytes, std::chrono::milliseconds interval)
{
    inItsThread([&] {
        m_paceBytes = bytes;
        m_paceInterval = interval;
        if (m_connection)
            m_connection->setPacing(bytes, interval);
    });
}

void ScriptedPeer::setReading(bool reading)
{
    inItsThread([&] {
        m_reading = reading;
        if (m_connection)
            m_connection->setReading(reading);
    });
}

void ScriptedPeer::greet()
{
    if (!m_handshake.answersHeader)
        return;
    if (!m_handshake.greeting.isEmpty())
        return sendRaw(m_handshake.greeting);
    const QByteArray properties = table(m_handshake.serverProperties);
    respond(0, connectionStart(properties, m_handshake.mechanisms, m_handshake.locales));
}

void ScriptedPeer::tune()
{
    if (m_challenge < m_handshake.challenges.size())
        return respond(0, ConnectionSecure{.challenge = m_handshake.challenges.at(m_challenge++)});
    respond(0, m_handshake.tune());
}

void ScriptedPeer::take(const Command &command)
{
    if (m_hook && m_hook(command))
        return;
    const bool closes = command.id == ChannelClose::id || command.id == ChannelCloseOk::id ||
                        command.id == ConnectionClose::id || command.id == ConnectionCloseOk::id;
    // The client sent this before it saw the peer's close, so it gets no answer.
    if (!closes && (m_connection->awaitsCloseOk(0) || m_connection->awaitsCloseOk(command.channel)))
        return;
    answer(command);
}

void ScriptedPeer::answer(const Command &command)
{
    visitMethod(command.id, QByteArrayView(command.payload).sliced(4),
                [&](const auto &method) { answerMethod(command, method); });
}

template <typename Reply>
void ScriptedPeer::respond(quint16 channel, const Reply &reply)
{
    const auto instead = m_instead.constFind(Reply::name);
    if (instead == m_instead.cend())
        send(channel, reply);
    else if (instead->replyCode == 0)
        return;
    else if (channel == 0)
        closeConnection(instead->replyCode, instead->text);
    else
        closeChannel(channel, instead->replyCode, instead->text);
}

template <typename Method>
void ScriptedPeer::answerMethod(const Command &command, const Method &method)
{
    const quint16 channel = command.channel;
    if (command.fields.value(u"no-wait"_s).toBool())
        return;
    if constexpr (Method::id == ConnectionStartOk::id || Method::id == ConnectionSecureOk::id) {
        tune();
    } else if constexpr (Method::id == ConnectionTuneOk::id) {
        m_frameMax = method.frameMax;
    } else if constexpr (Method::id == ConnectionOpen::id) {
        respond(channel, ConnectionOpenOk{});
        if (!m_handshake.blockedReason.isEmpty())
            send(channel, ConnectionBlocked{.reason = m_handshake.blockedReason});
    } else if constexpr (Method::id == ConnectionClose::id) {
        respond(channel, ConnectionCloseOk{});
        if (!m_staysOpen && !m_instead.contains(ConnectionCloseOk::name))
            hangUp();
    } else if constexpr (Method::id == ConnectionCloseOk::id) {
        hangUp();
    } else if constexpr (Method::id == ChannelClose::id) {
        m_confirms.remove(channel);
        respond(channel, ChannelCloseOk{});
    } else if constexpr (Method::id == ChannelCloseOk::id) {
        m_confirms.remove(channel);
    } else if constexpr (Method::id == QueueDeclare::id) {
        const QByteArray name =
            method.queue.isEmpty() ? "amq.gen-" + QByteArray::number(++m_names) : method.queue.toByteArray();
        const auto counts = m_queueCounts.value(QString::fromUtf8(name));
        respond(channel, QueueDeclareOk{.queue = name, .messageCount = counts.first, .consumerCount = counts.second});
    } else if constexpr (Method::id == QueuePurge::id || Method::id == QueueDelete::id) {
        respond(channel, typename Method::Reply{m_queueCounts.value(QString::fromUtf8(method.queue)).first});
    } else if constexpr (Method::id == BasicConsume::id) {
        const QByteArray tag = method.consumerTag.isEmpty() ? "amq.ctag-" + QByteArray::number(++m_names)
                                                            : method.consumerTag.toByteArray();
        respond(channel, BasicConsumeOk{.consumerTag = tag});
    } else if constexpr (Method::id == BasicGet::id) {
        respond(channel, BasicGetEmpty{});
    } else if constexpr (Method::id == ConfirmSelect::id) {
        m_confirms.insert(channel, 0);
        respond(channel, ConfirmSelectOk{});
    } else if constexpr (Method::id == BasicPublish::id) {
        if (const auto latest = m_confirms.find(channel); latest != m_confirms.end())
            respond(channel, BasicAck{.deliveryTag = ++*latest});
    } else if constexpr (!std::is_void_v<typename Method::Reply>) {
        respond(channel, replyTo(method));
    }
}

void ScriptedPeer::sendRaw(const QByteArray &bytes)
{
    inItsThread([&] {
        if (!m_connection)
            qFatal("ScriptedPeer has nobody to send to");
        m_connection->write(bytes);
    });
}

void ScriptedPeer::deliver(quint16 channel, const QByteArray &consumerTag, quint64 deliveryTag, const QByteArray &body,
                           const BasicProperties &properties)
{
    sendContent(channel, BasicDeliver{.consumerTag = consumerTag, .deliveryTag = deliveryTag}, properties, body);
}

void ScriptedPeer::sendHeartbeat()
{
    sendRaw(encodeFrame(FrameType::Heartbeat, 0, {}));
}

void ScriptedPeer::closeConnection(quint16 replyCode, const QByteArray &text)
{
    send(0, ConnectionClose{.replyCode = replyCode, .replyText = text});
}

void ScriptedPeer::closeChannel(quint16 channel, quint16 replyCode, const QByteArray &text)
{
    send(channel, ChannelClose{.replyCode = replyCode, .replyText = text});
}

void ScriptedPeer::stayOpen()
{
    inItsThread([this] { m_staysOpen = true; });
}

void ScriptedPeer::hangUp()
{
    inItsThread([this] {
        if (m_connection)
            m_connection->closeWhenWritten();
    });
}

void ScriptedPeer::dropConnection()
{
    inItsThread([this] {
        if (m_connection)
            m_connection->abort();
    });
}

QByteArray ScriptedPeer::table(const QVariantMap &table)
{
    return encodeTable(table, u"table").value();
}

int ScriptedPeer::connectionCount() const
{
    return inItsThread([this] { return int(m_connections.size()); });
}

int ScriptedPeer::acceptedCount() const
{
    return inItsThread([this] { return m_server->acceptedCount(); });
}

QByteArray ScriptedPeer::indicatedName() const
{
    return inItsThread([this] { return m_server->indicatedName(); });
}

bool ScriptedPeer::isConnected() const
{
    return inItsThread([this] { return m_connection && m_connection->isConnected(); });
}

QStringList ScriptedPeer::socketErrors() const
{
    return inItsThread([this] { return m_connection ? m_connection->socketErrors() : QStringList(); });
}

QByteArray ScriptedPeer::protocolHeader() const
{
    return inItsThread([this] { return m_connection ? m_connection->protocolHeader() : QByteArray(); });
}

QList<Command> ScriptedPeer::received() const
{
    return inItsThread([this] { return m_received; });
}

QList<Command> ScriptedPeer::received(const QByteArray &name) const
{
    QList<Command> commands = received();
    commands.removeIf([&](const Command &command) { return command.name != name; });
    return commands;
}

int ScriptedPeer::count(const QByteArray &name) const
{
    return int(received(name).size());
}

Command ScriptedPeer::last(const QByteArray &name) const
{
    const QList<Command> commands = received(name);
    return commands.isEmpty() ? Command() : commands.last();
}

void ScriptedPeer::forgetReceived()
{
    inItsThread([this] { m_received.clear(); });
}

int ScriptedPeer::heartbeats() const
{
    return inItsThread([this] { return m_connection ? m_connection->heartbeats() : 0; });
}

qint64 ScriptedPeer::bytesReceived() const
{
    return inItsThread([this] { return m_connection ? m_connection->bytesReceived() : 0; });
}

qsizetype ScriptedPeer::largestFrame() const
{
    return inItsThread([this] { return m_connection ? m_connection->largestFrame() : 0; });
}

QStringList ScriptedPeer::violations() const
{
    return inItsThread([this] {
        QStringList all;
        for (const PeerConnection *connection : m_connections)
            all += connection->violations();
        return all;
    });
}
