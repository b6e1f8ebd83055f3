// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/Connection>

#include <QFrame>
#include <QTimer>

class QLabel;

// Tells the user about an outage that lasts, and offers to connect at once. Hidden otherwise.
class ConnectionBanner : public QFrame
{
    Q_OBJECT
public:
    explicit ConnectionBanner(AmqpQt::Connection *connection, QWidget *parent = nullptr);

private:
    void showState();
    void showText();

    AmqpQt::Connection *const m_connection;
    QLabel *m_text = nullptr;
    QTimer m_countdown;
};
