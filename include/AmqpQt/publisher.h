// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/channel.h>

#include <chrono>
#include <memory>

namespace AmqpQt
{

class PublisherPrivate;

// Publishes messages and accounts for each one. Uses its own channel in confirm mode, a window of unconfirmed messages
// and a bounded outbox for the time without a connection. settled() is emitted exactly once for each message.
class AMQPQT_EXPORT Publisher : public QObject
{
    Q_OBJECT
    Q_PROPERTY(QString exchange READ exchange WRITE setExchange NOTIFY exchangeChanged)
    Q_PROPERTY(QString routingKey READ routingKey WRITE setRoutingKey NOTIFY routingKeyChanged)
    Q_PROPERTY(bool writable READ isWritable NOTIFY writableChanged)
    Q_PROPERTY(qreal pressure READ pressure NOTIFY pressureChanged) // 0 means free; at 1 publish() rejects
    Q_PROPERTY(int outstandingCount READ outstandingCount NOTIFY outstandingCountChanged)
    Q_DISABLE_COPY_MOVE(Publisher)
public:
    enum class LossPolicy : int {
        Report,    // fails unconfirmed messages with Unconfirmed when the connection is lost
        Republish, // sends them again, in order, before new ones; they may arrive twice
    };
    Q_ENUM(LossPolicy)

    explicit Publisher(Connection *connection, QObject *parent = nullptr);
    ~Publisher() override;

    quint64 publish(const Message &message); // returns the id, or 0 if it was rejected
    quint64 publish(const QString &exchange, const QString &routingKey, const Message &message);
    Reply<void> publishWithReply(const Message &message);
    Reply<void> publishWithReply(const QString &exchange, const QString &routingKey, const Message &message);

    QString exchange() const;
    void setExchange(const QString &exchange);
    QString routingKey() const;
    void setRoutingKey(const QString &routingKey);
    bool isMandatory() const; // true by default; a message without a route fails
    void setMandatory(bool mandatory);
    int confirmWindow() const; // unconfirmed messages at a time, 1000
    void setConfirmWindow(int messages);
    qint64 outboxLimit() const; // bytes kept while they cannot be sent, 16 MiB; 0 keeps none
    void setOutboxLimit(qint64 bytes);
    bool isPaused() const; // new messages wait in the outbox; false by default
    void setPaused(bool paused);
    LossPolicy lossPolicy() const;
    void setLossPolicy(LossPolicy policy);
    std::chrono::milliseconds confirmTimeout() const; // for each message once it is sent; 0, the default, means none
    void setConfirmTimeout(std::chrono::milliseconds timeout);

    Channel *channel() const; // has the state, the errors and the backpressure
    Error error() const;      // why publish() last returned 0
    bool isWritable() const;  // publish() would send at once
    qreal pressure() const;
    int outstandingCount() const; // in the outbox or unconfirmed

Q_SIGNALS:
    void settled(quint64 id, const AmqpQt::Error &error); // NoError if the broker has the message
    void drained();                                       // nothing outstanding
    void writableChanged(bool writable);
    void pressureChanged(qreal pressure);
    void outstandingCountChanged(int count);
    void exchangeChanged();
    void routingKeyChanged();

protected:
    bool event(QEvent *event) override;

private:
    friend class PublisherPrivate;
    std::unique_ptr<PublisherPrivate> d;
};

} // namespace AmqpQt
