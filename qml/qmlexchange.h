// SPDX-License-Identifier: MIT
#pragma once

#include "backoff.h"
#include "qmlelement.h"

namespace AmqpQt
{

class QmlExchange : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(QString name MEMBER m_name NOTIFY changed)
    Q_PROPERTY(QVariant type READ type WRITE setType NOTIFY changed)
    Q_PROPERTY(bool durable MEMBER m_durable NOTIFY changed)
    Q_PROPERTY(bool autoDelete MEMBER m_autoDelete NOTIFY changed)
    Q_PROPERTY(bool internal MEMBER m_internal NOTIFY changed)
    Q_PROPERTY(bool passive MEMBER m_passive NOTIFY changed)
    Q_PROPERTY(QVariantMap arguments MEMBER m_arguments NOTIFY changed)
    QML_NAMED_ELEMENT(Exchange)
public:
    enum class Type { Direct, Fanout, Topic, Headers };
    Q_ENUM(Type)

    explicit QmlExchange(QObject *parent = nullptr);

    QString name() const { return m_name; }
    QVariant type() const; // a Type, else the name of another type
    void setType(const QVariant &type);

    // For those who use the exchange: the broker says that it has none of this name. Then it is declared again.
    void lost(const QString &name, const Error &reason);

Q_SIGNALS:
    void changed();
    void declared();

protected:
    void connectionOpened() override;
    void connectionClosed() override;
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
    bool m_isPending = false; // a declaration waits to be sent
    quint64 m_revision = 0;   // of the properties
    Backoff m_backoff;
};

} // namespace AmqpQt
