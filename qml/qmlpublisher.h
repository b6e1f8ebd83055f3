// SPDX-License-Identifier: MIT
#pragma once

#include "qmlelement.h"

#include <AmqpQt/channel.h>

#include <QtQml/qjsvalue.h>

namespace AmqpQt
{

class QmlPublisher : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(QString exchange MEMBER m_exchange NOTIFY changed)
    Q_PROPERTY(QString routingKey MEMBER m_routingKey NOTIFY changed)
    Q_PROPERTY(QString contentType MEMBER m_contentType NOTIFY changed)
    Q_PROPERTY(bool persistent MEMBER m_persistent NOTIFY changed)
    Q_PROPERTY(bool mandatory MEMBER m_mandatory NOTIFY changed)
    Q_PROPERTY(bool writable READ isWritable NOTIFY writableChanged)
    QML_NAMED_ELEMENT(Publisher)
public:
    explicit QmlPublisher(QObject *parent = nullptr);
    ~QmlPublisher() override;

    bool isWritable() const { return m_channel && m_channel->isWritable(); }

    Q_INVOKABLE int publish(const QJSValue &body, const QVariantMap &options = {});

Q_SIGNALS:
    void changed();
    void writableChanged();
    void returned(const AmqpQt::Message &message, const AmqpQt::Error &reason);

protected:
    void connectionOpened() override;
    void connectionClosed() override;

private:
    struct Outgoing {
        QString exchange;
        QString routingKey;
        Message message;
        bool mandatory;
    };

    std::optional<Message> messageFor(const QJSValue &body, QString *reason) const;
    static QString applyOptions(const QVariantMap &options, Outgoing &outgoing);
    int refuse(const QString &reason);
    bool send(const Outgoing &outgoing);
    void openChannel();
    void onChannelClosed(const Error &reason);

    QString m_exchange;
    QString m_routingKey;
    QString m_contentType;
    bool m_persistent = true;
    bool m_mandatory = false;

    QPointer<Channel> m_channel;
    QList<Outgoing> m_waiting; // for the connection, and for what it declares
    qint64 m_waitingBytes = 0;
    int m_lastId = 0;
};

} // namespace AmqpQt
