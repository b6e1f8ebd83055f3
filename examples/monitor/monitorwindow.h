// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>
#include <AmqpQt/LatestValueModel>
#include <AmqpQt/MessageModel>
#include <AmqpQt/RateHistory>

#include <QPointer>
#include <QTimer>
#include <QWidget>

class QLabel;
class QLineEdit;
class QPushButton;

// Shows the messages of an exchange as they arrive, the latest value per routing key, the message rate and the state of
// the queue, and publishes by hand.
class MonitorWindow : public QWidget
{
    Q_OBJECT
public:
    MonitorWindow(const QUrl &url, const QString &exchange, const QString &routingKey, const QStringList &columns);

    void connectToBroker();
    double deliveredCount() const { return m_model.totalCount(); }

protected:
    void closeEvent(QCloseEvent *event) override;
    void changeEvent(QEvent *event) override;

private:
    QLayout *makeConnectForm();
    QLayout *makeTools();
    QWidget *makeTables(const QStringList &columns);
    QWidget *makePublishForm();
    void subscribe();
    void inspect();
    void publish();
    void showState();
    void showCounts();
    void tell(const QString &text, bool isError = false);

    const QString m_exchange;
    const QString m_routingKey;
    QString m_queue; // as the broker named it

    AmqpQt::Connection m_connection;
    QPointer<AmqpQt::Channel> m_inbox;
    QPointer<AmqpQt::Channel> m_outbox;    // separate, since publishing to a missing exchange closes the channel
    QPointer<AmqpQt::Channel> m_inspector; // likewise for inspecting a missing queue
    AmqpQt::MessageModel m_model;
    AmqpQt::LatestValueModel m_latest;
    AmqpQt::RateHistory m_rates;
    QTimer m_inspection;

    QLineEdit *m_url = nullptr;
    QPushButton *m_connect = nullptr;
    QLabel *m_state = nullptr;
    QLabel *m_news = nullptr;
    bool m_newsIsBad = false;
    QLabel *m_queueCounts = nullptr;
    QLabel *m_messageCounts = nullptr;
    QLineEdit *m_publishExchange = nullptr;
    QLineEdit *m_publishKey = nullptr;
    QLineEdit *m_contentType = nullptr;
    QLineEdit *m_body = nullptr;
    QPushButton *m_publish = nullptr;
};
