// SPDX-License-Identifier: MIT
#include "monitorwindow.h"

#include "connectionbanner.h"
#include "ratechart.h"

#include <AmqpQt/Recovery>

#include <QCheckBox>
#include <QCloseEvent>
#include <QGridLayout>
#include <QGroupBox>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSplitter>
#include <QTableView>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

using AmqpQt::Connection;

namespace
{

QTableView *makeTable(QAbstractItemModel *model)
{
    auto *table = new QTableView;
    table->setModel(model);
    table->setAlternatingRowColors(true);
    table->setSelectionBehavior(QTableView::SelectRows);
    table->setWordWrap(false);
    QHeaderView *rows = table->verticalHeader();
    rows->hide();
    rows->setSectionResizeMode(QHeaderView::Fixed); // measuring rows would cost more than showing them
    rows->setDefaultSectionSize(table->fontMetrics().height() + 6);
    table->horizontalHeader()->setStretchLastSection(true);
    table->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    table->setColumnWidth(0, table->fontMetrics().horizontalAdvance(u"sensor.1.temperature"_s) + 40);
    return table;
}

// A table with its title above.
QWidget *titled(const QString &title, QTableView *table)
{
    auto *label = new QLabel(title);
    label->setBuddy(table);
    auto *widget = new QWidget;
    auto *layout = new QVBoxLayout(widget);
    layout->setContentsMargins({});
    layout->addWidget(label);
    layout->addWidget(table, 1);
    return widget;
}

} // namespace

MonitorWindow::MonitorWindow(const QUrl &url, const QString &exchange, const QString &routingKey,
                             const QStringList &columns)
    : m_exchange(exchange)
    , m_routingKey(routingKey)
    , m_connection(url)
{
    setWindowTitle(tr("Messages of %1").arg(exchange));
    resize(1120, 720);

    m_news = new QLabel;
    m_news->setWordWrap(true);
    m_news->setMinimumWidth(1);           // a long word does not widen the window
    m_news->setTextFormat(Qt::PlainText); // the broker's text is not markup
    m_news->setTextInteractionFlags(Qt::TextSelectableByMouse);

    auto *layout = new QVBoxLayout(this);
    layout->addWidget(new ConnectionBanner(&m_connection));
    layout->addLayout(makeConnectForm());
    layout->addLayout(makeTools());
    layout->addWidget(makeTables(columns), 1);
    layout->addWidget(makePublishForm());
    layout->addWidget(m_news);

    connect(&m_connection, &Connection::stateChanged, this, &MonitorWindow::showState);
    connect(&m_connection, &Connection::stateTextChanged, this, &MonitorWindow::showState);
    connect(&m_connection, &Connection::blockedChanged, this, [this](bool blocked, const QString &reason) {
        tell(blocked ? tr("The broker takes no messages: %1").arg(reason) : QString(), blocked);
    });
    connect(&m_connection, &Connection::writableChanged, this, &MonitorWindow::showState);
    connect(&m_connection, &Connection::opened, this, [this] { tell(tr("Waiting for messages.")); });
    connect(&m_connection, &Connection::closed, this, [this](const AmqpQt::Error &reason) {
        tell(reason.isError() ? reason.toString() : tr("Disconnected."), reason.isError());
    });
    connect(&m_connection, &Connection::recovered, this, [this](const AmqpQt::RecoveryReport &report) {
        tell(report.isComplete() ? tr("Connected again.") : report.failures().join(u'\n'), !report.isComplete());
    });
    connect(&m_connection, &Connection::queueRenamed, this, [this](const QString &oldName, const QString &newName) {
        if (m_queue == oldName)
            m_queue = newName;
    });
    connect(&m_model, &AmqpQt::MessageModel::countChanged, this, &MonitorWindow::showCounts);
    connect(&m_inspection, &QTimer::timeout, this, &MonitorWindow::inspect);
    m_inspection.start(1s);
    showState();
    showCounts();
}

QLayout *MonitorWindow::makeConnectForm()
{
    m_url = new QLineEdit(m_connection.url().toString()); // reads back without the password
    m_url->setPlaceholderText(u"amqp://user:password@host/virtual-host"_s);
    m_connect = new QPushButton;
    m_state = new QLabel;
    m_state->setTextFormat(Qt::PlainText);
    auto *label = new QLabel(tr("&Broker"));
    label->setBuddy(m_url);

    auto *row = new QHBoxLayout;
    row->addWidget(label);
    row->addWidget(m_url, 1);
    row->addWidget(m_connect);
    row->addWidget(m_state);
    const auto toggle = [this] {
        if (m_connection.state() == Connection::State::Closed)
            connectToBroker();
        else
            m_connection.close();
    };
    connect(m_connect, &QPushButton::clicked, this, toggle);
    connect(m_url, &QLineEdit::returnPressed, m_connect, &QPushButton::click);
    return row;
}

QLayout *MonitorWindow::makeTools()
{
    m_queueCounts = new QLabel;
    m_messageCounts = new QLabel;
    auto *filter = new QLineEdit;
    filter->setPlaceholderText(tr("such as sensor.*.humidity"));
    filter->setClearButtonEnabled(true);
    auto *filterLabel = new QLabel(tr("&Only"));
    filterLabel->setBuddy(filter);
    auto *pause = new QCheckBox(tr("P&ause"));
    auto *clear = new QPushButton(tr("C&lear"));

    auto *row = new QHBoxLayout;
    row->addWidget(m_messageCounts, 1);
    row->addWidget(m_queueCounts, 1);
    row->addWidget(filterLabel);
    row->addWidget(filter, 1);
    row->addWidget(pause);
    row->addWidget(clear);
    connect(filter, &QLineEdit::textChanged, &m_model, &AmqpQt::MessageModel::setFilterRoutingKey);
    connect(pause, &QCheckBox::toggled, &m_model, &AmqpQt::MessageModel::setPaused);
    connect(clear, &QPushButton::clicked, &m_model, &AmqpQt::MessageModel::clear);
    connect(clear, &QPushButton::clicked, &m_latest, &AmqpQt::LatestValueModel::clear);
    connect(clear, &QPushButton::clicked, &m_rates, &AmqpQt::RateHistory::clear);
    return row;
}

QWidget *MonitorWindow::makeTables(const QStringList &columns)
{
    m_model.setColumns(columns);
    QStringList valueColumns = columns;
    valueColumns.removeIf(
        [](const QString &name) { return !name.startsWith("json."_L1) && !name.startsWith("headers."_L1); });
    if (valueColumns.isEmpty())
        valueColumns = {u"text"_s};
    m_latest.setColumns(QStringList{m_latest.keyColumn()} + valueColumns);
    m_latest.setUpdateInterval(250); // users cannot read faster
    m_rates.setInterval(500);
    m_rates.setSamples(120); // a minute

    auto *latest = new QWidget;
    auto *layout = new QVBoxLayout(latest);
    layout->setContentsMargins({});
    layout->addWidget(titled(tr("Latest &values"), makeTable(&m_latest)), 1);
    layout->addWidget(new RateChart(&m_rates));
    auto *splitter = new QSplitter;
    splitter->addWidget(titled(tr("&Messages"), makeTable(&m_model)));
    splitter->addWidget(latest);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 2);
    splitter->setChildrenCollapsible(false);
    return splitter;
}

QWidget *MonitorWindow::makePublishForm()
{
    auto *box = new QGroupBox(tr("Publish"));
    m_publishExchange = new QLineEdit(m_exchange);
    m_publishKey = new QLineEdit(u"sensor.9.temperature"_s);
    m_contentType = new QLineEdit(u"application/json"_s);
    m_body = new QLineEdit(u"{\"value\": 42, \"unit\": \"°C\"}"_s);
    m_publish = new QPushButton(tr("&Publish"));

    auto *grid = new QGridLayout(box);
    const auto add = [grid](const QString &text, QLineEdit *field, int row, int column) {
        auto *label = new QLabel(text);
        label->setBuddy(field);
        grid->addWidget(label, row, column);
        grid->addWidget(field, row, column + 1);
    };
    add(tr("&Exchange"), m_publishExchange, 0, 0);
    add(tr("Routing &key"), m_publishKey, 0, 2);
    add(tr("Bod&y"), m_body, 1, 0);
    add(tr("&Content type"), m_contentType, 1, 2);
    grid->addWidget(m_publish, 0, 4, 2, 1);
    grid->setColumnStretch(1, 2);
    grid->setColumnStretch(3, 1);
    connect(m_publish, &QPushButton::clicked, this, &MonitorWindow::publish);
    connect(m_body, &QLineEdit::returnPressed, m_publish, &QPushButton::click);
    return box;
}

void MonitorWindow::showState()
{
    const bool isOpen = m_connection.isOpen();
    const bool isClosed = m_connection.state() == Connection::State::Closed;
    m_state->setText(isClosed ? tr("Not connected") : m_connection.stateText()); // m_news has the reason
    m_connect->setText(isClosed ? tr("C&onnect") : tr("Disc&onnect"));
    m_url->setReadOnly(!isClosed);
    m_publish->setEnabled(isOpen && m_connection.isWritable());

    const bool isDark = palette().color(QPalette::Window).lightness() < 128;
    const auto paint = [isDark](QLabel *label, bool isGood, bool isBad) {
        QPalette colours = label->parentWidget() ? label->parentWidget()->palette() : label->palette();
        if (isGood)
            colours.setColor(QPalette::WindowText, QColor(isDark ? 0x81c784 : 0x1b5e20));
        if (isBad)
            colours.setColor(QPalette::WindowText, QColor(isDark ? 0xef9a9a : 0xb71c1c));
        label->setPalette(colours);
    };
    paint(m_state, isOpen && !m_connection.isBlocked(), m_connection.isBlocked());
    paint(m_news, false, m_newsIsBad);
    if (!isOpen)
        m_queueCounts->clear();
}

void MonitorWindow::showCounts()
{
    m_messageCounts->setText(tr("%L1 of %L2 messages").arg(m_model.count()).arg(qint64(m_model.totalCount())));
    m_messageCounts->setToolTip(tr("%L1 came too fast to be shown").arg(qint64(m_model.droppedCount())));
}

void MonitorWindow::tell(const QString &text, bool isError)
{
    m_news->setText(text);
    m_newsIsBad = isError;
    showState();
}

void MonitorWindow::changeEvent(QEvent *event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange && m_state)
        showState();
}

// The window stays until the connection is closed, which has a deadline.
void MonitorWindow::closeEvent(QCloseEvent *event)
{
    if (m_connection.state() == Connection::State::Closed)
        return event->accept();
    event->ignore();
    connect(&m_connection, &Connection::closed, this, &QWidget::close, Qt::UniqueConnection);
    m_connection.close();
}

void MonitorWindow::connectToBroker()
{
    if (m_url->text() != m_connection.url().toString()) {
        const auto parameters = AmqpQt::ConnectionParameters::fromUrl(QUrl(m_url->text()));
        if (!parameters)
            return tell(parameters.error().toString(), true);
        m_connection.setParameters(*parameters);
        m_url->setText(m_connection.url().toString()); // without the password
    }
    tell({});
    for (QPointer<AmqpQt::Channel> *channel : {&m_inbox, &m_outbox, &m_inspector}) {
        delete *channel;
        *channel = m_connection.createChannel();
        connect(*channel, &AmqpQt::Channel::errorOccurred, this,
                [this](const AmqpQt::Error &error) { tell(error.toString(), true); });
    }
    connect(m_outbox, &AmqpQt::Channel::messageReturned, this,
            [this](quint64, const AmqpQt::Message &message, const AmqpQt::Error &reason) {
                tell(tr("%1 came back: %2").arg(message.routingKey(), reason.toString()), true);
            });
    connect(m_outbox, &AmqpQt::Channel::closed, this, [this](const AmqpQt::Error &reason) {
        if (reason.isError() && m_connection.isOpen())
            m_outbox->reopen();
    });
    subscribe();
    m_connection.open();
}

void MonitorWindow::subscribe()
{
    m_queue.clear();
    m_inbox->declareExchange(m_exchange, AmqpQt::ExchangeType::Topic);
    m_inbox->setPrefetch(1000);
    m_inbox->declareTemporaryQueue().then(this, [this](const AmqpQt::Result<AmqpQt::QueueInfo> &queue) {
        if (queue)
            m_queue = queue->name;
    });
    m_inbox->bindQueue({}, m_exchange, m_routingKey); // an empty name means the last declared queue
    AmqpQt::Consumer *consumer = m_inbox->consume({});
    m_model.setConsumer(consumer);
    m_latest.setConsumer(consumer);
    m_rates.setConsumer(consumer);
    // The models only display messages; code that consumes with acknowledgements must send them itself.
    connect(consumer, &AmqpQt::Consumer::batchDelivered, this,
            [this](const QList<AmqpQt::Message> &messages) { m_inbox->ackUpTo(messages.constLast()); });
}

void MonitorWindow::inspect()
{
    if (!m_connection.isOpen() || m_queue.isEmpty())
        return;
    if (m_inspector->state() == AmqpQt::Channel::State::Closed)
        m_inspector->reopen();
    m_inspector->inspectQueue(m_queue).then(this, [this](const AmqpQt::Result<AmqpQt::QueueInfo> &queue) {
        m_queueCounts->setText(queue
                                   ? tr("Ready: %L1, consumers: %L2").arg(queue->messageCount).arg(queue->consumerCount)
                                   : tr("The queue is gone"));
    });
}

void MonitorWindow::publish()
{
    AmqpQt::Message message = AmqpQt::Message::fromText(m_body->text());
    message.setContentType(m_contentType->text());
    message.setTimestamp(QDateTime::currentDateTime());
    if (m_outbox->publish(m_publishExchange->text(), m_publishKey->text(), message,
                          AmqpQt::Channel::PublishFlag::Mandatory))
        tell(tr("Published to %1.").arg(m_publishExchange->text()));
}
