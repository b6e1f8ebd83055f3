// SPDX-License-Identifier: MIT
#include "support/peerconnection.h"

#include "wire/fieldtable_p.h"

#include <QtNetwork/qtcpsocket.h>

using namespace AmqpQt::Wire;
using namespace Qt::StringLiterals;

namespace
{

class FieldMap
{
public:
    QVariantMap fields;

    void operator()(const char *name, bool value) { insert(name, value); }
    template <std::unsigned_integral T>
    void operator()(const char *name, T value)
    {
        insert(name, qulonglong(value));
    }
    void operator()(const char *name, ShortString value) { insert(name, QString::fromUtf8(value)); }
    void operator()(const char *name, LongString value) { insert(name, value.toByteArray()); }
    void operator()(const char *name, Table value)
    {
        insert(name, AmqpQt::Wire::checkTable(value.contents) ? AmqpQt::FieldTable()
                                                              : AmqpQt::Wire::decodeTable(value.contents));
    }

private:
    void insert(const char *name, const QVariant &value) { fields.insert(QLatin1StringView(name), value); }
};

} // namespace

BasicProperties Command::basicProperties() const
{
    BasicProperties values;
    decodeProperties(properties, values);
    return values;
}

PeerConnection::PeerConnection(QTcpSocket *socket, int number, QObject *parent)
    : QObject(parent)
    , m_socket(socket)
    , m_number(number)
    , m_pace(this)
{
    m_socket->setParent(this);
    m_socket->setReadBufferSize(64 * 1024); // so that the client notices when the peer does not read
    m_socket->setSocketOption(QAbstractSocket::LowDelayOption, 1);
    connect(m_socket, &QTcpSocket::readyRead, this, &PeerConnection::read);
    connect(m_socket, &QTcpSocket::errorOccurred, this, [this] { m_socketErrors += m_socket->errorString(); });
    connect(&m_pace, &QTimer::timeout, this, &PeerConnection::writePaced);
    // Handles bytes that arrived before readyRead was connected.
    QMetaObject::invokeMethod(this, &PeerConnection::read, Qt::QueuedConnection);
}

bool PeerConnection::isConnected() const
{
    return m_socket->state() == QAbstractSocket::ConnectedState;
}

void PeerConnection::write(const QByteArray &bytes)
{
    m_session.send(bytes);
    writeBytes(bytes);
}

void PeerConnection::writeBytes(const QByteArray &bytes)
{
    if (m_paceBytes) {
        m_output += bytes;
        if (!m_pace.isActive())
            m_pace.start();
        return;
    }
    m_socket->write(bytes);
    m_socket->flush();
}

void PeerConnection::setPacing(qsizetype bytes, std::chrono::milliseconds interval)
{
    m_paceBytes = bytes;
    m_pace.setInterval(interval);
    if (!bytes) {
        m_pace.stop();
        writeBytes(std::exchange(m_output, {}));
    }
}

void PeerConnection::writePaced()
{
    m_socket->write(m_output.first(qMin(m_paceBytes, m_output.size())));
    m_socket->flush();
    m_output.remove(0, m_paceBytes);
    if (!m_output.isEmpty())
        return;
    m_pace.stop();
    if (m_closing)
        m_socket->disconnectFromHost();
}

void PeerConnection::closeWhenWritten()
{
    m_closing = true;
    if (m_output.isEmpty())
        m_socket->disconnectFromHost();
}

void PeerConnection::abort()
{
    m_socket->abort();
}

void PeerConnection::setReading(bool reading)
{
    m_reading = reading;
    if (reading)
        read();
}

void PeerConnection::read()
{
    while (m_reading) {
        if (m_input.isEmpty())
            m_bytesReceived += (m_input = m_socket->readAll()).size();
        if (m_input.isEmpty())
            return;
        QByteArrayView left = m_input;
        const bool hadHeader = m_session.hasProtocolHeader();
        const std::optional<Frame> frame = m_session.nextReceived(left);
        m_input.remove(0, m_input.size() - left.size());
        m_violations += m_session.takeViolations();
        if (m_session.hasProtocolHeader() && !hadHeader)
            headerReceived();
        if (frame)
            readFrame(*frame);
    }
}

void PeerConnection::readFrame(const Frame &frame)
{
    m_largestFrame = qMax(m_largestFrame, frame.payload.size() + FrameOverhead);
    switch (frame.type) {
    case FrameType::Method:
        return readMethod(frame);
    case FrameType::Header:
        return readContentHeader(frame);
    case FrameType::Body:
        return readBody(frame);
    case FrameType::Heartbeat:
        ++m_heartbeats;
    }
}

void PeerConnection::readMethod(const Frame &frame)
{
    m_publishes.remove(frame.channel);
    Command command;
    command.connection = m_number;
    command.channel = frame.channel;
    command.id = frame.methodId();
    command.payload = frame.payload;
    bool hasContent = false;
    const Visit visit = visitMethod(command.id, QByteArrayView(frame.payload).sliced(qMin(4, frame.payload.size())),
                                    [&]<typename Method>(const Method &method) {
                                        command.name = Method::name;
                                        hasContent = Method::hasContent;
                                        FieldMap map;
                                        Method::fields(method, map);
                                        command.fields = map.fields;
                                    });
    if (visit != Visit::Done)
        return;
    if (hasContent)
        m_publishes.insert(frame.channel, {command});
    else
        commandReceived(command);
}

void PeerConnection::readContentHeader(const Frame &frame)
{
    const auto publish = m_publishes.find(frame.channel);
    ContentHeader header;
    if (publish == m_publishes.end() || publish->hasHeader || !decodeContentHeader(frame.payload, header))
        return;
    publish->command.properties = header.properties.toByteArray();
    publish->bodySize = header.bodySize;
    publish->hasHeader = true;
    finish(frame.channel);
}

void PeerConnection::readBody(const Frame &frame)
{
    const auto publish = m_publishes.find(frame.channel);
    if (publish == m_publishes.end() || !publish->hasHeader)
        return;
    publish->command.body += frame.payload;
    ++publish->command.bodyFrames;
    finish(frame.channel);
}

void PeerConnection::finish(quint16 channel)
{
    const auto publish = m_publishes.find(channel);
    if (quint64(publish->command.body.size()) < publish->bodySize)
        return;
    const Command command = publish->command;
    m_publishes.erase(publish);
    commandReceived(command);
}
