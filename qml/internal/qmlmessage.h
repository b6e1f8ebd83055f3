// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>

namespace AmqpQt
{

// The QML view of a Message: its properties and functions, with JavaScript types where the library's have types that
// only C++ knows. QML treats messages as objects of this class, which has no other data.
//
// It declares all of them itself instead of deriving from Message, since code compiled by qmlcachegen of Qt 6.4 reads
// the properties of a value type by their index in one class.
class QmlMessage
{
    Q_GADGET
    Q_PROPERTY(QVariant body READ body WRITE setBody)
    Q_PROPERTY(QString text READ text STORED false)
    Q_PROPERTY(QString contentType READ contentType WRITE setContentType)
    Q_PROPERTY(QString contentEncoding READ contentEncoding WRITE setContentEncoding)
    Q_PROPERTY(QVariant headers READ headers WRITE setHeaders)
    Q_PROPERTY(bool persistent READ isPersistent WRITE setPersistent)
    Q_PROPERTY(int priority READ priority WRITE setPriority)
    Q_PROPERTY(QString correlationId READ correlationId WRITE setCorrelationId)
    Q_PROPERTY(QString replyTo READ replyTo WRITE setReplyTo)
    Q_PROPERTY(QString messageId READ messageId WRITE setMessageId)
    Q_PROPERTY(QDateTime timestamp READ timestamp WRITE setTimestamp)
    Q_PROPERTY(QString type READ type WRITE setType)
    Q_PROPERTY(QString userId READ userId WRITE setUserId)
    Q_PROPERTY(QString appId READ appId WRITE setAppId)
    Q_PROPERTY(QString exchange READ exchange)
    Q_PROPERTY(QString routingKey READ routingKey)
    Q_PROPERTY(QString consumerTag READ consumerTag)
    Q_PROPERTY(double deliveryTag READ deliveryTag)
    Q_PROPERTY(QString clusterId READ clusterId WRITE setClusterId)
    Q_PROPERTY(bool redelivered READ isRedelivered)
public:
    QVariant body() const;
    void setBody(const QVariant &body);
    QVariant headers() const;
    void setHeaders(const QVariant &headers);
    QString text() const { return m_message.text(); }
    double deliveryTag() const { return double(m_message.deliveryTag()); }
    QString contentType() const { return m_message.contentType(); }
    void setContentType(const QString &value) { m_message.setContentType(value); }
    QString contentEncoding() const { return m_message.contentEncoding(); }
    void setContentEncoding(const QString &value) { m_message.setContentEncoding(value); }
    bool isPersistent() const { return m_message.isPersistent(); }
    void setPersistent(bool value) { m_message.setPersistent(value); }
    int priority() const { return m_message.priority(); }
    void setPriority(int value) { m_message.setPriority(value); }
    QString correlationId() const { return m_message.correlationId(); }
    void setCorrelationId(const QString &value) { m_message.setCorrelationId(value); }
    QString replyTo() const { return m_message.replyTo(); }
    void setReplyTo(const QString &value) { m_message.setReplyTo(value); }
    QString messageId() const { return m_message.messageId(); }
    void setMessageId(const QString &value) { m_message.setMessageId(value); }
    QDateTime timestamp() const { return m_message.timestamp(); }
    void setTimestamp(const QDateTime &value) { m_message.setTimestamp(value); }
    QString type() const { return m_message.type(); }
    void setType(const QString &value) { m_message.setType(value); }
    QString userId() const { return m_message.userId(); }
    void setUserId(const QString &value) { m_message.setUserId(value); }
    QString appId() const { return m_message.appId(); }
    void setAppId(const QString &value) { m_message.setAppId(value); }
    QString clusterId() const { return m_message.clusterId(); }
    void setClusterId(const QString &value) { m_message.setClusterId(value); }
    QString exchange() const { return m_message.exchange(); }
    QString routingKey() const { return m_message.routingKey(); }
    QString consumerTag() const { return m_message.consumerTag(); }
    bool isRedelivered() const { return m_message.isRedelivered(); }

    Q_INVOKABLE QVariant json(const QVariant &path = {}) const;
    Q_INVOKABLE QVariant header(const QString &name, const QVariant &fallback = {}) const;
    Q_INVOKABLE void ack() const { m_message.ack(); }
    Q_INVOKABLE void nack(const QVariant &requeue = {}) const; // Requeue::Yes if not given

private:
    Message m_message;
};

static_assert(sizeof(QmlMessage) == sizeof(Message));

} // namespace AmqpQt
