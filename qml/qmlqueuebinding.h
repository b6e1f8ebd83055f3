// SPDX-License-Identifier: MIT
#pragma once

#include "qmlexchange.h"

namespace AmqpQt
{

class QmlQueue;

class QmlQueueBinding : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlExchange *exchange READ exchange WRITE setExchange NOTIFY changed)
    Q_PROPERTY(QString exchangeName READ exchangeName WRITE setExchangeName NOTIFY changed)
    Q_PROPERTY(QString routingKey MEMBER m_routingKey NOTIFY changed)
    Q_PROPERTY(QVariantMap arguments MEMBER m_arguments NOTIFY changed)
    QML_NAMED_ELEMENT(QueueBinding)
public:
    explicit QmlQueueBinding(QObject *parent = nullptr);

    QmlExchange *exchange() const { return m_exchange; }
    void setExchange(QmlExchange *exchange);
    QString exchangeName() const { return m_exchange ? m_exchange->name() : m_exchangeName; }
    void setExchangeName(const QString &name);

    void componentComplete() override;

Q_SIGNALS:
    void changed();

protected:
    void connectionOpened() override;
    void connectionClosed() override;

private:
    struct Binding {
        QString queue;
        QString exchange;
        QString routingKey;
        QVariantMap arguments;
        bool operator==(const Binding &) const = default;
    };

    void bind();
    void unbind(const Binding &old);

    QPointer<QmlExchange> m_exchange;
    QPointer<QmlQueue> m_queue;
    QString m_exchangeName;
    QString m_routingKey;
    QVariantMap m_arguments;
    Binding m_wanted; // what was sent last
    Binding m_bound;  // what the broker has
    bool m_isPending = false;
};

} // namespace AmqpQt
