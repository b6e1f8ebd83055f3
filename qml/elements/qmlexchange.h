// SPDX-License-Identifier: MIT
#pragma once

#include "backoff.h"
#include "qmlelement.h"

#include <AmqpQt/options.h>

namespace AmqpQt
{

class QmlExchange : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(QString name MEMBER m_name RESET resetName NOTIFY changed)
    Q_PROPERTY(QVariant type READ type WRITE setType RESET resetType NOTIFY changed)
    Q_PROPERTY(bool durable MEMBER m_durable RESET resetDurable NOTIFY changed)
    Q_PROPERTY(bool autoDelete MEMBER m_autoDelete RESET resetAutoDelete NOTIFY changed)
    Q_PROPERTY(bool internal MEMBER m_internal RESET resetInternal NOTIFY changed)
    Q_PROPERTY(bool passive MEMBER m_passive RESET resetPassive NOTIFY changed)
    Q_PROPERTY(QVariant arguments READ arguments WRITE setArguments RESET resetArguments NOTIFY changed)
    QML_NAMED_ELEMENT(Exchange)
public:
    enum class Type { Direct, Fanout, Topic, Headers };
    Q_ENUM(Type)

    explicit QmlExchange(QObject *parent = nullptr);

    QString name() const { return m_name; }
    QVariant type() const; // a Type, or otherwise the name of another type
    void setType(const QVariant &type);
    QVariant arguments() const { return m_arguments; }
    void setArguments(const QVariant &arguments);

    void resetName() { reset(this, m_name, {}); }
    void resetType() { reset(this, m_type, ExchangeType::Direct); }
    void resetDurable() { reset(this, m_durable, true); }
    void resetAutoDelete() { reset(this, m_autoDelete, false); }
    void resetInternal() { reset(this, m_internal, false); }
    void resetPassive() { reset(this, m_passive, false); }
    void resetArguments() { reset(this, m_arguments, {}); }

    // Called by users of the exchange when the broker reports that it does not exist. Declares it again.
    void lost(const QString &name, const Error &reason);

Q_SIGNALS:
    void changed();
    void declared();

protected:
    void connectionOpened() override;
    void connectionClosed() override;
    void connectionRecovered(const RecoveryReport &report) override;
    void timerEvent(QTimerEvent *event) override;

private:
    void declare();
    void onDeclared(const Result<void> &result);

    QString m_name;
    QString m_type;
    QVariantMap m_arguments;
    bool m_durable = true;
    bool m_autoDelete = false;
    bool m_internal = false;
    bool m_passive = false;
    bool m_isPending = false; // a declaration is waiting to be sent
    quint64 m_revision = 0;   // of the properties
    Backoff m_backoff;
};

} // namespace AmqpQt
