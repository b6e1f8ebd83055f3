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
        write(std::exchange(m_output, {}));
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

void PeerConnection::setLimits(quint16 channelMax, quint32 frameMax)
{
    m_channelMax = channelMax ? channelMax : 0xffff;
    m_frameMax = frameMax;
}

void PeerConnection::setChannelOpen(quint16 channel, bool open)
{
    if (open)
        m_openChannels.insert(channel);
    else
        m_openChannels.remove(channel);
}

void PeerConnection::read()
{
    while (m_reading && m_socket->bytesAvailable() > 0) {
        const QByteArray bytes = m_socket->readAll();
        m_bytesReceived += bytes.size();
        if (m_broken)
            continue;
        m_input += bytes;
        if (m_header.isEmpty()) {
            if (m_input.size() < ProtocolHeader.size())
                continue;
            m_header = m_input.first(ProtocolHeader.size());
            m_input.remove(0, ProtocolHeader.size());
            if (m_header != ProtocolHeader)
                violation(u"protocol header "_s + QString::fromLatin1(m_header.toHex(' ')));
            headerReceived();
        }
        while (m_reading && readFrame()) {
        }
    }
}

bool PeerConnection::readFrame()
{
    if (m_broken || m_input.size() < FrameHeaderSize)
        return false;
    const FrameHeader header = readFrameHeader(m_input.constData());
    const qsizetype size = qsizetype(header.size) + FrameOverhead;
    if (m_frameMax && size > qsizetype(m_frameMax))
        violation(u"frame of %1 bytes, over frame-max %2"_s.arg(size).arg(m_frameMax));
    if (m_input.size() < size)
        return false;
    m_largestFrame = qMax(m_largestFrame, size);
    const QByteArray frame = m_input.first(size);
    m_input.remove(0, size);
    if (quint8(frame.back()) != FrameEnd) {
        violation(u"frame without frame-end"_s);
        m_broken = true;
        return false;
    }
    const QByteArrayView payload = QByteArrayView(frame).sliced(FrameHeaderSize, header.size);
    switch (FrameType(header.type)) {
    case FrameType::Method:
        readMethod(header.channel, payload);
        return true;
    case FrameType::Header:
        readContentHeader(header.channel, payload);
        return true;
    case FrameType::Body:
        readBody(header.channel, payload);
        return true;
    case FrameType::Heartbeat:
        ++m_heartbeats;
        if (header.channel || header.size)
            violation(u"heartbeat on channel %1 with %2 bytes"_s.arg(header.channel).arg(header.size));
        return true;
    }
    violation(u"frame type %1"_s.arg(header.type));
    return true;
}

void PeerConnection::readMethod(quint16 channel, QByteArrayView payload)
{
    if (payload.size() < 4)
        return violation(u"method frame of %1 bytes"_s.arg(payload.size()));
    if (m_contents.remove(channel))
        violation(u"method inside a content on channel %1"_s.arg(channel));

    Command command;
    command.connection = m_number;
    command.channel = channel;
    command.id = {qFromBigEndian<quint16>(payload.data()), qFromBigEndian<quint16>(payload.data() + 2)};
    command.payload = payload.toByteArray();
    bool hasContent = false;
    bool fromClient = false;
    const Visit visit = visitMethod(command.id, payload.sliced(4), [&]<typename Method>(const Method &method) {
        command.name = Method::name;
        hasContent = Method::hasContent;
        fromClient = Method::toServer;
        FieldMap map;
        Method::fields(method, map);
        command.fields = map.fields;
    });
    if (visit != Visit::Done) {
        return violation(u"%1 method %2.%3"_s.arg(visit == Visit::Malformed ? u"malformed"_s : u"unknown"_s)
                             .arg(command.id.classId)
                             .arg(command.id.methodId));
    }
    if (channel > m_channelMax)
        violation(u"channel %1, over channel-max %2"_s.arg(channel).arg(m_channelMax));
    if (!fromClient)
        violation(QLatin1StringView(command.name) + u" is not for clients to send"_s);
    if (!m_openChannels.contains(channel) && command.id != ChannelOpen::id)
        violation(u"%1 on channel %2, which is not open"_s.arg(QLatin1StringView(command.name)).arg(channel));
    if (hasContent)
        m_contents.insert(channel, {command});
    else
        commandReceived(command);
}

void PeerConnection::readContentHeader(quint16 channel, QByteArrayView payload)
{
    const auto content = m_contents.find(channel);
    if (content == m_contents.end() || content->hasHeader)
        return violation(u"content header without its method on channel %1"_s.arg(channel));
    ContentHeader header;
    if (!decodeContentHeader(payload, header))
        return violation(u"a truncated content header"_s);
    if (header.classId != content->command.id.classId)
        violation(u"content header of class %1"_s.arg(header.classId));
    content->command.properties = header.properties.toByteArray();
    content->bodySize = header.bodySize;
    content->hasHeader = true;
    finish(channel);
}

void PeerConnection::readBody(quint16 channel, QByteArrayView payload)
{
    const auto content = m_contents.find(channel);
    if (content == m_contents.end() || !content->hasHeader)
        return violation(u"body without its header on channel %1"_s.arg(channel));
    content->command.body += payload.toByteArray();
    ++content->command.bodyFrames;
    if (quint64(content->command.body.size()) > content->bodySize)
        violation(u"body longer than the %1 bytes announced"_s.arg(content->bodySize));
    finish(channel);
}

void PeerConnection::finish(quint16 channel)
{
    const auto content = m_contents.find(channel);
    if (quint64(content->command.body.size()) < content->bodySize)
        return;
    const Command command = content->command;
    m_contents.erase(content);
    commandReceived(command);
}
