// SPDX-License-Identifier: MIT
#include "connectionbanner.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QLocale>
#include <QPushButton>

#include <chrono>

using namespace std::chrono_literals;

using AmqpQt::Connection;

ConnectionBanner::ConnectionBanner(Connection *connection, QWidget *parent)
    : QFrame(parent)
    , m_connection(connection)
{
    setFrameShape(QFrame::StyledPanel);
    setAutoFillBackground(true);
    QPalette colours(QColor(0xff, 0xf3, 0xcd)); // the same in light and dark windows, with dark text
    colours.setColor(QPalette::WindowText, QColor(0x4d, 0x3b, 0x00));
    setPalette(colours);

    m_text = new QLabel;
    m_text->setTextFormat(Qt::PlainText); // the broker's text is not markup
    m_text->setWordWrap(true);
    auto *now = new QPushButton(tr("Connect &now"));
    auto *row = new QHBoxLayout(this);
    row->addWidget(m_text, 1);
    row->addWidget(now);

    connect(now, &QPushButton::clicked, connection, &Connection::reconnectNow);
    connect(connection, &Connection::calmStateChanged, this, &ConnectionBanner::showState);
    connect(connection, &Connection::stateTextChanged, this, &ConnectionBanner::showText);
    connect(connection, &Connection::reconnecting, this, &ConnectionBanner::showText);
    connect(&m_countdown, &QTimer::timeout, this, &ConnectionBanner::showText);
    m_countdown.setInterval(1s);
    showState();
}

// The calm state shows neither an outage that is over after a few seconds nor the first attempt.
void ConnectionBanner::showState()
{
    const bool isRecovering = m_connection->calmState() == Connection::State::Recovering;
    setVisible(isRecovering);
    if (isRecovering)
        m_countdown.start();
    else
        m_countdown.stop();
    showText();
}

void ConnectionBanner::showText()
{
    if (m_connection->calmState() != Connection::State::Recovering)
        return;
    QString text =
        tr("%1. Not connected since %2: %3")
            .arg(m_connection->stateText(), QLocale().toString(m_connection->lostSince().time(), QLocale::ShortFormat),
                 m_connection->error().text());
    const auto left = std::chrono::ceil<std::chrono::seconds>(m_connection->nextAttemptIn());
    if (left > 0s)
        text += u'\n' + tr("The next attempt follows in %1 s.").arg(left.count());
    m_text->setText(text);
}
