// SPDX-License-Identifier: MIT
#pragma once

#include "bindings.h"
#include "qmlexchange.h"

#include <optional>

namespace AmqpQt
{

class QmlQueue;
class DeclarationQueue;

class QmlQueueBinding : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlExchange *exchange READ exchange WRITE setExchange RESET resetExchange NOTIFY changed)
    Q_PROPERTY(QString exchangeName READ exchangeName WRITE setExchangeName RESET resetExchangeName NOTIFY changed)
    Q_PROPERTY(QString routingKey MEMBER m_routingKey RESET resetRoutingKey NOTIFY changed)
    Q_PROPERTY(QVariant arguments READ arguments WRITE setArguments RESET resetArguments NOTIFY changed)
    QML_NAMED_ELEMENT(QueueBinding)
public:
    explicit QmlQueueBinding(QObject *parent = nullptr);

    QmlExchange *exchange() const { return m_exchange; }
    void setExchange(QmlExchange *exchange);
    QString exchangeName() const { return m_exchange ? m_exchange->name() : m_exchangeName; }
    void setExchangeName(const QString &name);
    QVariant arguments() const { return m_arguments; }
    void setArguments(const QVariant &arguments);

    void resetExchange() { setExchange(nullptr); }
    void resetExchangeName() { setExchangeName({}); }
    void resetRoutingKey() { reset(this, m_routingKey, {}); }
    void resetArguments() { reset(this, m_arguments, {}); }

    void componentComplete() override;

Q_SIGNALS:
    void changed();

protected:
    void connectionOpened() override;
    void connectionClosed() override;
    void queueRenamed(const QString &oldName, const QString &newName) override;
    void connectionRecovered(const RecoveryReport &report) override;

private:
    enum class Attempt { None, Waiting, Sent };

    void bind();
    void onQueueNameChanged();
    void onExchangeDeclared();
    void onBound(const Binding &binding, const Result<void> &result);
    Binding wanted() const;
    static void unbindOthers(DeclarationQueue *declarations, const QPointer<QmlQueueBinding> &element,
                             const std::shared_ptr<BoundByElement> &bound, const Binding &kept);

    QPointer<QmlExchange> m_exchange;
    QPointer<QmlQueue> m_queue;
    QString m_exchangeName;
    QString m_routingKey;
    QVariantMap m_arguments;
    std::shared_ptr<BoundByElement> m_bound;
    QPointer<QObject> m_boundOn;   // the connection
    std::optional<Binding> m_made; // the latest, confirmed by the broker; not made again while its queue exists
    Attempt m_attempt = Attempt::None;
    bool m_hasChanged = false; // since the attempt was sent
};

} // namespace AmqpQt
