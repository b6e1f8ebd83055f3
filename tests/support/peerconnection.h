// SPDX-License-Identifier: MIT
#pragma once

#include "support/brokersession.h"

#include <QtCore/qhash.h>
#include <QtCore/qobject.h>
#include <QtCore/qstringlist.h>
#include <QtCore/qtimer.h>
#include <QtCore/qvariant.h>

#include <chrono>
#include <functional>

class QTcpSocket;

// A method that a client sent, with its content if it carries one.
struct Command {
    int connection = 0; // the client's first, second … connection
    quint16 channel = 0;
    AmqpQt::Wire::MethodId id;
    QByteArray name; // "basic.publish"
    // The names are those of the specification, such as "routing-key", and the values are bool, qulonglong,
    // QString, QByteArray (for long strings) or QVariantMap.
    QVariantMap fields;
    QByteArray payload;    // of the method frame
    QByteArray properties; // of the content, as in Wire::ContentHeader
    QByteArray body;
    int bodyFrames = 0;

    // The typed view; it and its strings live as long as this command.
    template <typename Method>
    Method as() const
    {
        Method method;
        if (id == Method::id)
            AmqpQt::Wire::decodeArguments(QByteArrayView(payload).sliced(4), method);
        return method;
    }
    AmqpQt::Wire::BasicProperties basicProperties() const;
};

// The broker's side of one connection on a socket. Reads the client's commands, writes the bytes that it is given, and
// records everything that the client must not send.
class PeerConnection : public QObject
{
public:
    PeerConnection(QTcpSocket *socket, int number, QObject *parent);

    std::function<void()> headerReceived; // the eight bytes that begin a connection
    std::function<void(const Command &)> commandReceived;

    void write(const QByteArray &bytes);
    void setPacing(qsizetype bytes, std::chrono::milliseconds interval);
    void setReading(bool reading);
    void closeWhenWritten();
    void abort();

    bool isConnected() const;
    QStringList socketErrors() const { return m_socketErrors; }
    bool awaitsCloseOk(quint16 channel) const { return m_session.awaitsCloseOk(channel); }

    QByteArray protocolHeader() const { return m_session.protocolHeader(); }
    QStringList violations() const { return m_violations; }
    int heartbeats() const { return m_heartbeats; }
    qint64 bytesReceived() const { return m_bytesReceived; }
    qsizetype largestFrame() const { return m_largestFrame; }

private:
    void read();
    void readFrame(const Frame &frame);
    void readMethod(const Frame &frame);
    void readContentHeader(const Frame &frame);
    void readBody(const Frame &frame);
    void finish(quint16 channel);
    void writeBytes(const QByteArray &bytes);
    void writePaced();

    struct Publish {
        Command command;
        quint64 bodySize = 0;
        bool hasHeader = false;
    };

    QTcpSocket *m_socket;
    const int m_number;
    BrokerSession m_session;
    QByteArray m_input;
    QByteArray m_output; // output that is sent in pieces
    QTimer m_pace;
    qsizetype m_paceBytes = 0; // 0 to send everything at once
    bool m_reading = true;
    bool m_closing = false;
    QStringList m_socketErrors;
    QHash<quint16, Publish> m_publishes; // publishes whose contents are incomplete
    QStringList m_violations;
    int m_heartbeats = 0;
    qint64 m_bytesReceived = 0;
    qsizetype m_largestFrame = 0;
};
