// SPDX-License-Identifier: MIT
#pragma once

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

Q_SIGNALS:
    void changed();
    void declared();

protected:
    void connectionOpened() override;
    void connectionClosed() override;

private:
    void declare();

    QString m_name;
    QString m_type;
    QVariantMap m_arguments;
    bool m_durable = true;
    bool m_autoDelete = false;
    bool m_internal = false;
    bool m_passive = false;
    bool m_isPending = false;
};

} // namespace AmqpQt
