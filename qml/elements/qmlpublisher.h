// SPDX-License-Identifier: MIT
#pragma once

#include "jspromise.h"
#include "outgoing.h"
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
    Q_PROPERTY(QString exchange MEMBER m_exchange RESET resetExchange NOTIFY changed)
    Q_PROPERTY(QString routingKey MEMBER m_routingKey RESET resetRoutingKey NOTIFY changed)
    Q_PROPERTY(QString contentType MEMBER m_contentType RESET resetContentType NOTIFY changed)
    Q_PROPERTY(bool persistent MEMBER m_persistent RESET resetPersistent NOTIFY changed)
    Q_PROPERTY(bool mandatory MEMBER m_mandatory RESET resetMandatory NOTIFY changed)
    Q_PROPERTY(int window READ window WRITE setWindow RESET resetWindow NOTIFY changed)
    Q_PROPERTY(AmqpQt::QmlPublisher::LossPolicy lossPolicy READ lossPolicy WRITE setLossPolicy RESET resetLossPolicy
                   NOTIFY changed)
    Q_PROPERTY(double outboxLimit READ outboxLimit WRITE setOutboxLimit RESET resetOutboxLimit NOTIFY changed)
    Q_PROPERTY(bool writable READ isWritable NOTIFY writableChanged)
    Q_PROPERTY(double pressure READ pressure NOTIFY pressureChanged)
    Q_PROPERTY(int outstanding READ outstanding NOTIFY outstandingChanged)
    QML_NAMED_ELEMENT(Publisher)
public:
    enum class LossPolicy : int {
        Report = int(Publisher::LossPolicy::Report),
        Republish = int(Publisher::LossPolicy::Republish)
    };
    Q_ENUM(LossPolicy)

    explicit QmlPublisher(QObject *parent = nullptr);
    ~QmlPublisher() override;

    int window() const { return m_window; }
    void setWindow(int messages);
    LossPolicy lossPolicy() const { return m_lossPolicy; }
    void setLossPolicy(LossPolicy policy);
    double outboxLimit() const { return double(m_outboxLimit); }
    void setOutboxLimit(double bytes);
    bool isWritable() const { return m_publisher && m_publisher->isWritable(); }
    double pressure() const { return m_publisher ? m_publisher->pressure() : 1; }
    int outstanding() const { return m_publisher ? m_publisher->outstandingCount() : 0; }

    void resetExchange() { reset(this, m_exchange, {}); }
    void resetRoutingKey() { reset(this, m_routingKey, {}); }
    void resetContentType() { reset(this, m_contentType, {}); }
    void resetPersistent() { reset(this, m_persistent, true); }
    void resetMandatory() { reset(this, m_mandatory, true); }
    void resetWindow() { setWindow(1000); }
    void resetLossPolicy() { setLossPolicy(LossPolicy::Report); }
    void resetOutboxLimit() { setOutboxLimit(double(DefaultOutboxLimit)); }

    // The ids are whole numbers.
    Q_INVOKABLE double publish(const QJSValue &body, const QJSValue &options = {});
    Q_INVOKABLE QJSValue publishWithReply(const QJSValue &body, const QJSValue &options = {});

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
    void connectionLost() override;
    void connectionRecovered(const RecoveryReport &report) override;

private:
    static constexpr qint64 DefaultOutboxLimit = 16 * 1024 * 1024;

    void replacePublisher();
    void resumeWhenDeclared();
    Result<qint64> submit(const QJSValue &body, const QJSValue &options); // the id
    void settle(qint64 id, const Error &error);
    void settleUpTo(qint64 last); // settles messages that are left from an earlier publisher

    QString m_exchange;
    QString m_routingKey;
    QString m_contentType;
    bool m_persistent = true;
    bool m_mandatory = true;
    int m_window = 1000;
    LossPolicy m_lossPolicy = LossPolicy::Report;
    qint64 m_outboxLimit = DefaultOutboxLimit;

    std::unique_ptr<Publisher> m_publisher;    // on the connection; paused until everything is declared
    std::map<qint64, JsPromise> m_outstanding; // by id; the promise is empty for messages published without a reply
    JsPromiseFactory m_promises;
    JsonFunction m_toJson;
    qint64 m_lastId = 0;
    qint64 m_lastIdBefore = 0; // of the previous publisher
};

} // namespace AmqpQt
