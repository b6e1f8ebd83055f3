// SPDX-License-Identifier: MIT
#pragma once

#include "qmlqueuebinding.h"

#include <optional>

namespace AmqpQt
{

class QmlQueue : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(QString name MEMBER m_name NOTIFY changed)
    Q_PROPERTY(QString declaredName READ declaredName NOTIFY declaredNameChanged)
    Q_PROPERTY(bool durable READ isDurable WRITE setDurable NOTIFY changed)
    Q_PROPERTY(bool exclusive READ isExclusive WRITE setExclusive NOTIFY changed)
    Q_PROPERTY(bool autoDelete MEMBER m_autoDelete NOTIFY changed)
    Q_PROPERTY(bool passive MEMBER m_passive NOTIFY changed)
    Q_PROPERTY(QString queueType MEMBER m_queueType NOTIFY changed)
    Q_PROPERTY(int messageTtl READ messageTtl WRITE setMessageTtl RESET resetMessageTtl NOTIFY changed)
    Q_PROPERTY(int maximumLength READ maximumLength WRITE setMaximumLength RESET resetMaximumLength NOTIFY changed)
    Q_PROPERTY(QString deadLetterExchange MEMBER m_deadLetterExchange NOTIFY changed)
    Q_PROPERTY(QVariantMap arguments MEMBER m_arguments NOTIFY changed)
    Q_PROPERTY(int messageCount READ messageCount NOTIFY countsChanged)
    Q_PROPERTY(int consumerCount READ consumerCount NOTIFY countsChanged)
    Q_PROPERTY(QQmlListProperty<AmqpQt::QmlQueueBinding> bindings READ bindings)
    Q_CLASSINFO("DefaultProperty", "bindings")
    QML_NAMED_ELEMENT(Queue)
public:
    explicit QmlQueue(QObject *parent = nullptr);

    QString declaredName() const { return m_declaredName; } // empty: it is not declared on this connection
    bool isDurable() const { return m_durable.value_or(!m_name.isEmpty()); }
    void setDurable(bool durable);
    bool isExclusive() const { return m_exclusive.value_or(m_name.isEmpty()); }
    void setExclusive(bool exclusive);
    int messageTtl() const { return m_messageTtl; }
    void setMessageTtl(int milliseconds);
    void resetMessageTtl();
    int maximumLength() const { return m_maximumLength; }
    void setMaximumLength(int messages);
    void resetMaximumLength();
    int messageCount() const { return int(m_info.messageCount); }
    int consumerCount() const { return int(m_info.consumerCount); }
    QQmlListProperty<QmlQueueBinding> bindings() { return m_bindings.property(this); }

    Q_INVOKABLE void purge();
    Q_INVOKABLE void refresh();
    Q_INVOKABLE void remove();

Q_SIGNALS:
    void changed();
    void declaredNameChanged();
    void countsChanged();
    void declared(const AmqpQt::QueueInfo &info);

protected:
    void connectionOpened() override;
    void connectionClosed() override;

private:
    void declare();
    QueueOptions options() const;
    void onDeclared(const Result<QueueInfo> &result);
    void setDeclaredName(const QString &name);
    void setInfo(const QueueInfo &info);
    bool isDeclared(); // else it fails

    QString m_name;
    QString m_queueType;
    QString m_deadLetterExchange;
    QVariantMap m_arguments;
    std::optional<bool> m_durable;
    std::optional<bool> m_exclusive;
    bool m_autoDelete = false;
    bool m_passive = false;
    int m_messageTtl = -1;
    int m_maximumLength = -1;
    ObjectList<QmlQueueBinding> m_bindings;

    QString m_declaredName;
    QueueInfo m_info;
    bool m_isPending = false;
};

} // namespace AmqpQt
