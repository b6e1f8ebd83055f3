// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/connection.h>

#include <QtCore/qtimer.h>

namespace AmqpQt
{

// What a window tells its user while there should be a connection and there is none: the reason, and the time until the
// next attempt. Both change once a second while an attempt is waited for.
class OutageNotice : public QObject
{
    Q_OBJECT
public:
    explicit OutageNotice(Connection *connection);

    void setWanted(bool wanted); // whether there should be a connection
    void update();

    QString text() const { return m_text; }           // one or two translated sentences, or empty
    int secondsLeft() const { return m_secondsLeft; } // until the next attempt, rounded up; -1 if none is waited for

Q_SIGNALS:
    void textChanged();
    void secondsLeftChanged();

private:
    void onStateChanged(Connection::State state);
    void countDown();
    QString currentText() const;
    QString reason() const;
    QString nextStep() const;

    Connection *const m_connection;
    QTimer m_timer; // runs until secondsLeft() changes
    QString m_text;
    int m_secondsLeft = -1;
    bool m_isWanted = false;
    bool m_wasOpen = false; // since the connection was opened last
};

} // namespace AmqpQt
