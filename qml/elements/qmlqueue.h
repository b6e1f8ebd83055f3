// SPDX-License-Identifier: MIT
#pragma once

#include "backoff.h"
#include "qmlqueuebinding.h"

#include <memory>
#include <optional>

namespace AmqpQt
{

class QmlQueue : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(QString name MEMBER m_name RESET resetName NOTIFY changed)
    Q_PROPERTY(QString declaredName READ declaredName NOTIFY declaredNameChanged)
    Q_PROPERTY(bool durable READ isDurable WRITE setDurable RESET resetDurable NOTIFY changed)
    Q_PROPERTY(bool exclusive READ isExclusive WRITE setExclusive RESET resetExclusive NOTIFY changed)
    Q_PROPERTY(bool autoDelete MEMBER m_autoDelete RESET resetAutoDelete NOTIFY changed)
    Q_PROPERTY(bool passive MEMBER m_passive RESET resetPassive NOTIFY changed)
    Q_PROPERTY(QString queueType MEMBER m_queueType RESET resetQueueType NOTIFY changed)
    Q_PROPERTY(double messageTtl READ messageTtl WRITE setMessageTtl RESET resetMessageTtl NOTIFY changed)
    Q_PROPERTY(double maximumLength READ maximumLength WRITE setMaximumLength RESET resetMaximumLength NOTIFY changed)
    Q_PROPERTY(QString deadLetterExchange MEMBER m_deadLetterExchange RESET resetDeadLetterExchange NOTIFY changed)
    Q_PROPERTY(QVariant arguments READ arguments WRITE setArguments RESET resetArguments NOTIFY changed)
    Q_PROPERTY(double messageCount READ messageCount NOTIFY countsChanged)
    Q_PROPERTY(int consumerCount READ consumerCount NOTIFY countsChanged)
    Q_PROPERTY(QQmlListProperty<AmqpQt::QmlQueueBinding> bindings READ bindings CONSTANT)
    Q_CLASSINFO("DefaultProperty", "bindings")
    QML_NAMED_ELEMENT(Queue)
public:
    explicit QmlQueue(QObject *parent = nullptr);
    ~QmlQueue() override;

    QString declaredName() const { return m_declaredName; } // empty if it is not declared on this connection
    bool isDurable() const { return m_durable.value_or(!m_name.isEmpty()); }
    void setDurable(bool durable);
    bool isExclusive() const { return m_exclusive.value_or(m_name.isEmpty()); }
    void setExclusive(bool exclusive);
    double messageTtl() const { return double(m_messageTtl); }
    void setMessageTtl(double milliseconds);
    double maximumLength() const { return double(m_maximumLength); }
    void setMaximumLength(double messages);
    QVariant arguments() const { return m_arguments; }
    void setArguments(const QVariant &arguments);
    double messageCount() const { return m_info.messageCount; }
    int consumerCount() const { return int(m_info.consumerCount); }
    void resetName() { reset(this, m_name, {}); }
    void resetDurable() { reset(this, m_durable, {}); }
    void resetExclusive() { reset(this, m_exclusive, {}); }
    void resetAutoDelete() { reset(this, m_autoDelete, false); }
    void resetPassive() { reset(this, m_passive, false); }
    void resetQueueType() { reset(this, m_queueType, {}); }
    void resetMessageTtl() { reset(this, m_messageTtl, -1); }
    void resetMaximumLength() { reset(this, m_maximumLength, -1); }
    void resetDeadLetterExchange() { reset(this, m_deadLetterExchange, {}); }
    void resetArguments() { reset(this, m_arguments, {}); }

    QQmlListProperty<QmlQueueBinding> bindings() { return m_bindings.property(this); }

    Q_INVOKABLE void purge();
    Q_INVOKABLE void refresh();
    Q_INVOKABLE void remove();

    // Called by users of the queue when the broker reports that it does not exist. Declares it again.
    void lost(const QString &name, const Error &reason);
    // Called by consumers that have cancelled a subscription, which may have been the last one of an auto-delete queue.
    // The element checks its queue before they subscribe again.
    void consumerLeft();
    void checkIfAutoDeleted();
    bool mayBeGone() const { return m_mayBeGone && !m_declaredName.isEmpty(); }
    bool isAutoDelete() const { return m_autoDelete; }
    bool isPassive() const { return m_passive; }

Q_SIGNALS:
    void changed();
    void declaredNameChanged();
    void countsChanged();
    void declared(const AmqpQt::QueueInfo &info);

protected:
    void connectionOpened() override;
    void connectionClosed() override;
    void queueRenamed(const QString &oldName, const QString &newName) override;
    void connectionRecovered(const RecoveryReport &report) override;
    void timerEvent(QTimerEvent *event) override;

private:
    // A declaration that the element has requested, and its result. A call belongs to the latest declaration at the
    // time of the call, even if the element declares another queue later.
    struct Declaration {
        enum class State { Waiting, Sent, Declared, Gone };

        QString name; // the broker's, once it is declared
        QueueOptions options;
        bool passive = false;
        State state = State::Waiting;
        bool isFixed =
            false; // a call belongs to this declaration, so later changes of the element need another declaration
        bool isBeingRemoved = false;
        bool isRefreshing = false; // a call waits to be sent
    };
    using DeclarationPointer = std::shared_ptr<Declaration>;

    void declare();
    void abandonRestored();
    void readProperties(Declaration &declaration) const;
    QueueOptions options() const;
    void onDeclared(const DeclarationPointer &declaration, const Result<QueueInfo> &result);
    void setDeclaredName(const QString &name);
    void setInfo(const QueueInfo &info);
    DeclarationPointer declarationForCall(); // null if there is none; the element has then reported the reason
    void failAsUndeclared();
    void failAsNameless(const DeclarationPointer &declaration);
    void onCallFailed(const DeclarationPointer &declaration, const Error &error);
    void forget(const DeclarationPointer &declaration);

    QString m_name;
    QString m_queueType;
    QString m_deadLetterExchange;
    QVariantMap m_arguments;
    std::optional<bool> m_durable;
    std::optional<bool> m_exclusive;
    bool m_autoDelete = false;
    bool m_passive = false;
    qint64 m_messageTtl = -1;
    qint64 m_maximumLength = -1;
    ObjectList<QmlQueueBinding> m_bindings;

    DeclarationPointer m_declaration; // the latest on this connection
    QString m_declaredName;
    QueueInfo m_info;
    Backoff m_backoff;
    bool m_mayBeGone = false;
};

} // namespace AmqpQt
