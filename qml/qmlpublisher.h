// SPDX-License-Identifier: MIT
#pragma once

#include "jspromise.h"
#include "qmlelement.h"

#include <AmqpQt/publisher.h>

#include <QtQml/qjsvalue.h>

#include <map>
#include <memory>

namespace AmqpQt
{

class QmlPublisher : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(QString exchange MEMBER m_exchange NOTIFY changed)
    Q_PROPERTY(QString routingKey MEMBER m_routingKey NOTIFY changed)
    Q_PROPERTY(QString contentType MEMBER m_contentType NOTIFY changed)
    Q_PROPERTY(bool persistent MEMBER m_persistent NOTIFY changed)
    Q_PROPERTY(bool mandatory MEMBER m_mandatory NOTIFY changed)
    Q_PROPERTY(int window READ window WRITE setWindow NOTIFY changed)
    Q_PROPERTY(int outboxLimit READ outboxLimit WRITE setOutboxLimit NOTIFY changed)
    Q_PROPERTY(bool writable READ isWritable NOTIFY writableChanged)
    Q_PROPERTY(double pressure READ pressure NOTIFY pressureChanged)
    Q_PROPERTY(int outstanding READ outstanding NOTIFY outstandingChanged)
    QML_NAMED_ELEMENT(Publisher)
public:
    explicit QmlPublisher(QObject *parent = nullptr);
    ~QmlPublisher() override;

    int window() const { return m_window; }
    void setWindow(int messages);
    int outboxLimit() const { return m_outboxLimit; }
    void setOutboxLimit(int bytes);
    bool isWritable() const { return m_publisher && m_publisher->isWritable(); }
    double pressure() const { return m_publisher ? m_publisher->pressure() : 1; }
    int outstanding() const { return m_publisher ? m_publisher->outstanding() : 0; }

    // The ids are whole numbers.
    Q_INVOKABLE double publish(const QJSValue &body, const QVariantMap &options = {});
    Q_INVOKABLE QJSValue publishWithReply(const QJSValue &body, const QVariantMap &options = {});

Q_SIGNALS:
    void changed();
    void writableChanged();
    void pressureChanged();
    void outstandingChanged();
    void settled(double id, const AmqpQt::Error &error);
    void drained();
    void returned(const AmqpQt::Message &message, const AmqpQt::Error &reason);

protected:
    void connectionOpened() override;
    void connectionClosed() override;

private:
    struct Outgoing {
        QString exchange;
        QString routingKey;
        Message message;
        bool mandatory;
    };

    void replacePublisher();
    Result<qint64> submit(const QJSValue &body, const QVariantMap &options); // the id
    std::optional<Message> messageFor(const QJSValue &body, QString *reason) const;
    static QString applyOptions(const QVariantMap &options, Outgoing &outgoing);
    void settle(qint64 id, const Error &error);
    void settleUpTo(qint64 last); // what is left of a publisher before this one

    QString m_exchange;
    QString m_routingKey;
    QString m_contentType;
    bool m_persistent = true;
    bool m_mandatory = true;
    int m_window = 1000;
    int m_outboxLimit = 16 * 1024 * 1024;

    std::unique_ptr<Publisher> m_publisher;    // on the connection; paused until that has declared everything
    std::map<qint64, JsPromise> m_outstanding; // by id; without a promise if it was published without
    JsPromiseFactory m_promises;
    qint64 m_lastId = 0;
    qint64 m_lastIdBefore = 0; // of the publisher before this one
};

} // namespace AmqpQt
