// SPDX-License-Identifier: MIT
#include "models/messagemodel_p.h"

#include "models/logging_p.h"

#include <AmqpQt/consumer.h>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

Q_LOGGING_CATEGORY(lcModel, "amqpqt.channel", QtInfoMsg)

/*!
    \class AmqpQt::MessageModel
    \inheaderfile AmqpQt/MessageModel
    \inmodule AmqpQt
    \since 0.1
    \brief The MessageModel class is a table model of a limited number of the latest messages, newest first.

    \code
    auto *model = new AmqpQt::MessageModel(this);
    model->setColumns({u"timestamp"_s, u"routingKey"_s, u"json.value"_s, u"text"_s});
    model->addConsumer(channel->consume(u"orders"_s, {.ackMode = AmqpQt::AckMode::NoAck}));
    tableView->setModel(model);
    \endcode

    A view of Widgets or QML could not keep up if it changed with each of thousands of messages per second. The model
    therefore changes at most once per updateInterval(), however many messages arrive. It inserts rows until it has
    maximumCount() rows, and from then on overwrites all of them with a single dataChanged(). A selection in a view
    refers to a row and not to the message in it, so let the user pause the model to read.

    A message costs almost nothing until a view requests it. data() decodes text, JSON and headers for the visible rows.
    Of the messages that arrive within one interval, only the newest that fit into the model are kept.

    The model never settles a message. With AckMode::Manual, also connect to Consumer::batchDelivered() or
    Consumer::delivered() and settle the messages there; otherwise the consumer stops at its prefetch count.

    \section1 Columns

    \table
    \header \li Column \li Shows
    \row \li any property of Message, such as \c routingKey, \c exchange, \c timestamp, \c contentType, \c priority,
             \c redelivered, \c deliveryTag, \c headers \li the property; empty if the message does not have it
    \row \li \c text, \c body \li the body; Qt::EditRole returns a QString and a QByteArray
    \row \li \c size \li the size of the body in bytes
    \row \li \c expiration \li the time to live in milliseconds
    \row \li \c json \li the body if it is JSON
    \row \li \c{json.order.items.0.id} \li a part of the JSON body, with a path as in Message::json()
    \row \li \c{headers.x-id} \li a header, or a part of a header as in \c{headers.x-death.0.queue}
    \endtable

    Qt::DisplayRole returns a printable value, and Qt::EditRole the value itself. Integers beyond 2⁵³ are displayed as
    strings with all their digits, because numbers in QML are doubles, and a Decimal is displayed as its exact text.

    An unknown column logs a warning in the category \c amqpqt.channel and stays empty.

    \section1 Threads

    A model belongs to the thread of its views. The consumer may live in another thread, so that a busy user interface
    does not delay the heartbeats of the connection.

    \sa Consumer, Message
*/

/*!
    \enum AmqpQt::MessageModel::Role

    This enum describes the roles in addition to Qt::DisplayRole and Qt::EditRole. The third column has their names in
    QML.

    \table
    \header \li Role \li Value \li Name
    \row \li MessageRole \li the Message itself \li \c message
    \row \li RoutingKeyRole \li QString \li \c routingKey
    \row \li ExchangeRole \li QString \li \c exchange
    \row \li TextRole \li the whole body as text \li \c text
    \row \li JsonRole \li the body as QVariantMap, QVariantList or a simple value; invalid if it is not JSON \li \c json
    \row \li HeadersRole \li QVariantMap \li \c headers
    \row \li ContentTypeRole \li QString \li \c contentType
    \row \li TimestampRole \li QDateTime in UTC; invalid if absent \li \c timestamp
    \row \li SizeRole \li the size of the body in bytes \li \c size
    \row \li RedeliveredRole \li \c bool \li \c redelivered
    \endtable

    \omitvalue MessageRole
    \omitvalue RoutingKeyRole
    \omitvalue ExchangeRole
    \omitvalue TextRole
    \omitvalue JsonRole
    \omitvalue HeadersRole
    \omitvalue ContentTypeRole
    \omitvalue TimestampRole
    \omitvalue SizeRole
    \omitvalue RedeliveredRole
*/

/*!
    \property AmqpQt::MessageModel::maximumCount
    \brief the maximum number of rows, 1000 by default.

    Setting a smaller number removes the oldest rows. A negative number is rejected with a warning.
*/

/*!
    \property AmqpQt::MessageModel::updateInterval
    \brief the minimum time between two changes of the rows in milliseconds, 50 by default; 0 means once per turn of the
    event loop.

    A negative number is rejected with a warning.
*/

/*!
    \property AmqpQt::MessageModel::paused
    \brief whether the rows stay unchanged while messages continue to arrive.

    These messages are counted in totalCount; the newest of them appear when this property becomes \c false again.
*/

/*!
    \property AmqpQt::MessageModel::columns
    \brief the names of the columns, see \l {Columns}; \c routingKey and \c text by default.

    A list view shows the first column, or the roles of \l Role.
*/

/*!
    \property AmqpQt::MessageModel::filterRoutingKey
    \brief the routing key pattern of the messages that become rows; if it is empty, the default, all messages do.

    The pattern has the form of a binding key for a topic exchange (AMQP 0-9-1, section 3.1.3.3). It consists of words
    separated by dots, where \c * stands for one word and \c # for any number of words. A new pattern removes the rows
    that do not match. Messages that do not match are counted in totalCount, and another pattern does not bring them
    back.
*/

/*!
    \property AmqpQt::MessageModel::count
    \brief the number of rows.
*/

/*!
    \property AmqpQt::MessageModel::totalCount
    \brief the number of messages that have arrived since the model was created or cleared.

    countChanged() is emitted when the rows are updated, not for each message.
*/

/*!
    \property AmqpQt::MessageModel::droppedCount
    \brief the number of messages in totalCount that never became a row, because newer messages arrived within the same
    interval or pause.
*/

/*!
    \fn void AmqpQt::MessageModel::maximumCountChanged()

    This signal is emitted when \l maximumCount has changed.
*/

/*!
    \fn void AmqpQt::MessageModel::updateIntervalChanged()

    This signal is emitted when \l updateInterval has changed.
*/

/*!
    \fn void AmqpQt::MessageModel::pausedChanged()

    This signal is emitted when the model was paused or resumed.
*/

/*!
    \fn void AmqpQt::MessageModel::columnsChanged()

    This signal is emitted when the \l columns have changed and the model was reset.
*/

/*!
    \fn void AmqpQt::MessageModel::filterRoutingKeyChanged()

    This signal is emitted when \l filterRoutingKey has changed and the rows that do not match it were removed.
*/

/*!
    \fn void AmqpQt::MessageModel::countChanged()

    This signal is emitted when \l count, \l totalCount or \l droppedCount has changed, at most once per
    \l updateInterval.
*/

/*!
    Constructs an empty model with the columns \c routingKey and \c text, and with the given \a parent.
*/
MessageModel::MessageModel(QObject *parent)
    : QAbstractTableModel(parent)
    , d(std::make_unique<MessageModelPrivate>(this))
{
}

/*! Destroys the model. The messages in it stay as they are, settled or not. */
MessageModel::~MessageModel() = default;

/*!
    Shows future deliveries of \a consumer in place of those of all previous consumers; null means no consumer. The rows
    stay.

    \sa addConsumer()
*/
void MessageModel::setConsumer(Consumer *consumer)
{
    d->consumers.set(consumer);
}

/*!
    Shows future deliveries of \a consumer (Consumer::batchDelivered()) too. The consumer may live in another thread,
    and may be deleted at any time. The function does nothing for null and for a consumer that was added before.

    \sa removeConsumer(), consumers()
*/
void MessageModel::addConsumer(Consumer *consumer)
{
    d->consumers.add(consumer);
}

/*!
    Stops showing deliveries of \a consumer. The rows stay.
*/
void MessageModel::removeConsumer(Consumer *consumer)
{
    d->consumers.remove(consumer);
}

/*!
    Returns the consumers whose deliveries are shown, in the order in which they were added. Deleted consumers are not
    in the list.
*/
QList<Consumer *> MessageModel::consumers() const
{
    return d->consumers.consumers();
}

/*!
    Adds \a messages, the newest last. Use this function for sources other than a consumer, such as
    Channel::messageReturned(). The rows change with the next update, not at once.
*/
void MessageModel::append(const QList<Message> &messages)
{
    d->append(messages);
}

/*!
    Removes all rows and pending messages, and resets the counters.
*/
void MessageModel::clear()
{
    d->clear();
}

/*!
    Returns the message in \a row, from 0 for the newest to count - 1, or an empty one if there is no such row.
*/
Message MessageModel::message(int row) const
{
    return d->rows.value(row);
}

int MessageModel::maximumCount() const
{
    return d->maximumCount;
}

void MessageModel::setMaximumCount(int rows)
{
    if (rows < 0)
        warn(u"maximumCount: %1 is out of range; the minimum is 0"_s.arg(rows));
    else if (rows != d->maximumCount)
        d->setMaximumCount(rows);
}

int MessageModel::updateInterval() const
{
    return d->updateTimer.interval();
}

void MessageModel::setUpdateInterval(int milliseconds)
{
    if (milliseconds < 0)
        warn(u"updateInterval: %1 ms is out of range; the minimum is 0 ms"_s.arg(milliseconds));
    else if (d->updateTimer.setInterval(milliseconds))
        Q_EMIT updateIntervalChanged();
}

bool MessageModel::isPaused() const
{
    return d->paused;
}

void MessageModel::setPaused(bool paused)
{
    if (paused == d->paused)
        return;
    d->paused = paused;
    d->schedule();
    Q_EMIT pausedChanged();
}

QStringList MessageModel::columns() const
{
    return d->columns.names();
}

void MessageModel::setColumns(const QStringList &columns)
{
    if (columns != d->columns.names())
        d->setColumns(columns);
}

QString MessageModel::filterRoutingKey() const
{
    return d->filter.pattern();
}

void MessageModel::setFilterRoutingKey(const QString &pattern)
{
    if (pattern != d->filter.pattern())
        d->setFilter(TopicFilter(pattern));
}

int MessageModel::count() const
{
    return int(d->rows.size());
}

double MessageModel::totalCount() const
{
    return double(d->totalCount);
}

double MessageModel::droppedCount() const
{
    return double(d->droppedCount);
}

/*!
    Returns whether \a name is a valid column, see \l {Columns}.
*/
bool MessageModel::isColumn(const QString &name)
{
    return MessageColumn(name).isKnown();
}

/*!
    Returns the display title of the column \a name, such as "Routing key"; the path for parts of the JSON body and of
    the headers.
*/
QString MessageModel::columnTitle(const QString &name)
{
    return MessageColumn(name).title();
}

/*!
    Returns the value of \a column for \a message, unchanged or, if \a role is Qt::DisplayRole, formatted as by data().
    Returns an invalid QVariant if there is no value or no such column. Use this function in custom models.
*/
QVariant MessageModel::value(const Message &message, const QString &column, int role)
{
    const MessageColumn parsed(column);
    std::optional<QJsonValue> json;
    return role == Qt::DisplayRole ? parsed.display(message, json) : parsed.value(message, json);
}

/*! \reimp */
int MessageModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : count();
}

/*! \reimp */
int MessageModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : d->columns.count();
}

/*!
    \reimp

    Qt::DisplayRole returns a printable value: times in local time, objects and arrays as compact JSON, bytes that are
    not text in hexadecimal, and not more than 1000 characters. Qt::EditRole returns the unchanged value. The roles of
    \l Role return the same value in each column.
*/
QVariant MessageModel::data(const QModelIndex &index, int role) const
{
    if (!index.isValid() || index.row() >= d->rows.size() || index.column() >= d->columns.count())
        return {};
    const Message &message = d->rows.at(index.row());
    switch (role) {
    case Qt::DisplayRole:
        return d->display(index.row(), index.column());
    case Qt::EditRole:
        return d->value(index.row(), index.column());
    case MessageRole:
        return QVariant::fromValue(message);
    case RoutingKeyRole:
        return message.routingKey();
    case ExchangeRole:
        return message.exchange();
    case TextRole:
        return message.text();
    case JsonRole:
        return d->json(index.row()).toVariant();
    case HeadersRole:
        return message.headers();
    case ContentTypeRole:
        return message.contentType();
    case TimestampRole:
        return message.timestamp();
    case SizeRole:
        return QVariant::fromValue(message.body().size());
    case RedeliveredRole:
        return message.isRedelivered();
    default:
        return {};
    }
}

/*!
    \reimp

    The titles of the columns are those of columnTitle().
*/
QVariant MessageModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation == Qt::Vertical || role != Qt::DisplayRole)
        return QAbstractTableModel::headerData(section, orientation, role);
    return d->columns.title(section);
}

/*! \reimp */
QHash<int, QByteArray> MessageModel::roleNames() const
{
    QHash<int, QByteArray> names = QAbstractTableModel::roleNames();
    names.insert({
        {MessageRole, "message"_ba},
        {RoutingKeyRole, "routingKey"_ba},
        {ExchangeRole, "exchange"_ba},
        {TextRole, "text"_ba},
        {JsonRole, "json"_ba},
        {HeadersRole, "headers"_ba},
        {ContentTypeRole, "contentType"_ba},
        {TimestampRole, "timestamp"_ba},
        {SizeRole, "size"_ba},
        {RedeliveredRole, "redelivered"_ba},
    });
    return names;
}

/*! \reimp */
bool MessageModel::event(QEvent *event)
{
    return QAbstractTableModel::event(event);
}

/*!
    Logs \a text, which describes an invalid property value, as a warning in the category \c amqpqt.channel. A subclass
    may add the origin of the value, as the QML element does.
*/
void MessageModel::warn(const QString &text) const
{
    qCWarning(lcModel).noquote() << text;
}

void MessageModel::resetMaximumCount()
{
    setMaximumCount(MessageModelPrivate::DefaultMaximumCount);
}

void MessageModel::resetUpdateInterval()
{
    setUpdateInterval(UpdateTimer::DefaultInterval);
}

void MessageModel::resetPaused()
{
    setPaused(false);
}

void MessageModel::resetColumns()
{
    setColumns(ColumnList::defaultNames());
}

void MessageModel::resetFilterRoutingKey()
{
    setFilterRoutingKey({});
}

} // namespace AmqpQt
