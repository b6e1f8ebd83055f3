// SPDX-License-Identifier: MIT
#pragma once

#include "wire/contentheader_p.h"
#include "wire/methods_p.h"

#include <QtCore/qhash.h>
#include <QtCore/qobject.h>
#include <QtCore/qset.h>
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
    // By the specification's names, "routing-key": bool, qulonglong, QString, QByteArray (of long strings),
    // QVariantMap.
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

// The broker's side of one connection: parses the client's bytes and writes the bytes it is given. It records anything
// that the client must not send.
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

    void setLimits(quint16 channelMax, quint32 frameMax); // 0: none
    void setChannelOpen(quint16 channel, bool open);
    bool isConnected() const;

    QByteArray header() const { return m_header; }
    void violation(const QString &what) { m_violations.append(what); }
    QStringList violations() const { return m_violations; }
    int heartbeats() const { return m_heartbeats; }
    qint64 bytesReceived() const { return m_bytesReceived; }
    qsizetype largestFrame() const { return m_largestFrame; }

private:
    void read();
    bool readFrame();
    void readMethod(quint16 channel, QByteArrayView payload);
    void readContentHeader(quint16 channel, QByteArrayView payload);
    void readBody(quint16 channel, QByteArrayView payload);
    void finish(quint16 channel);
    void writePaced();

    struct Content {
        Command command;
        quint64 bodySize = 0;
        bool hasHeader = false;
    };

    QTcpSocket *m_socket;
    const int m_number;
    QByteArray m_input;
    QByteArray m_output; // paced
    QTimer m_pace;
    qsizetype m_paceBytes = 0; // 0: at once
    bool m_reading = true;
    bool m_closing = false;
    bool m_broken = false; // no frame boundary to be found any more
    QByteArray m_header;
    quint32 m_frameMax = AmqpQt::Wire::SpecFrameMinimum;
    quint16 m_channelMax = 0xffff;
    QHash<quint16, Content> m_contents; // under way
    QSet<quint16> m_openChannels{0};
    QStringList m_violations;
    int m_heartbeats = 0;
    qint64 m_bytesReceived = 0;
    qsizetype m_largestFrame = 0;
};
