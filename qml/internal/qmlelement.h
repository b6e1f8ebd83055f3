// SPDX-License-Identifier: MIT
#pragma once

#include "qmlconnection.h"

#include <QtCore/qpointer.h>
#include <QtQml/qqmlparserstatus.h>
#include <QtQml/qqmlregistration.h>

#include <type_traits>
#include <utility>

namespace AmqpQt
{

// The base of a connection's elements, which finds the connection and reports errors. Base classes are written with
// their namespace, since qmltypes files copy them as written and qmllint would not find them otherwise.
class QmlElement : public QObject, public QQmlParserStatus
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(AmqpQt::QmlConnection *connection READ connection WRITE setConnection RESET resetConnection NOTIFY
                   connectionChanged)
    Q_PROPERTY(QString errorString READ errorString NOTIFY errorStringChanged)
    QML_ANONYMOUS
public:
    explicit QmlElement(QObject *parent = nullptr);

    QmlConnection *connection() const { return m_connection; }
    void setConnection(QmlConnection *connection);
    void resetConnection(); // sets it to the nearest enclosing Connection
    QString errorString() const { return m_errorString; }

    void classBegin() override;
    void componentComplete() override;

Q_SIGNALS:
    void connectionChanged();
    void errorStringChanged();

protected:
    // Between these two calls there is a connection, and isLive() is true.
    virtual void connectionOpened() = 0;
    virtual void connectionClosed() = 0;
    // In this time the connection may also be lost and recover. Then its entities and consumers are restored without
    // the elements, except for those that the report names. The broker may give queues new names.
    virtual void connectionLost() {}
    virtual void queueRenamed(const QString &, const QString &) {}
    virtual void connectionRecovered(const RecoveryReport &) {}

    bool isComplete() const { return m_isComplete; }
    bool isLive() const { return m_isLive && m_connection; }
    bool isRecovering() const { return isLive() && m_connection->state() == Connection::State::Recovering; }
    // Returns why the only entity of `entity` could not be restored, or no error.
    static Error failureOf(const Topology &entity, const RecoveryReport &report);
    DeclarationQueue *declarations() const { return m_connection->declarations(); }
    void findConnection(); // the nearest enclosing one, unless it was given explicitly
    void setErrorString(const QString &text);
    void fail(const QString &text); // errorString, and a warning with the element's file and line
    // Returns false, with a warning, if the property keeps its value.
    bool isInRange(const char *property, qint64 value, qint64 minimum, qint64 maximum) const;
    // The same for a number that may need more than 31 bits. JavaScript has no whole numbers larger than 2^53.
    bool isCount(const char *property, double value) const;
    // Returns whether the table has changed. A value that is not an object leaves it unchanged, with a warning.
    bool setTable(const char *property, QVariantMap &table, const QVariant &value) const;

    // Resets a property to the value it has when nothing is assigned to it.
    template <typename Element, typename T>
    static void reset(Element *element, T &property, const std::type_identity_t<T> &value)
    {
        if (std::exchange(property, value) != value)
            Q_EMIT element->changed();
    }

private:
    void use(QmlConnection *connection);
    void start();
    void stop();
    void onRecovered(const RecoveryReport &report);

    QPointer<QmlConnection> m_connection;
    QString m_errorString;
    bool m_isExplicit = false;
    bool m_isComplete = false;
    bool m_isLive = false;
};

} // namespace AmqpQt
