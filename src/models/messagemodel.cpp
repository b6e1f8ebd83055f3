// SPDX-License-Identifier: MIT
#include "models/messagemodel_p.h"

#include <AmqpQt/consumer.h>

#include <QtCore/qloggingcategory.h>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

Q_LOGGING_CATEGORY(lcModel, "amqpqt.channel", QtInfoMsg) // the same category as that of channels

/*!
    Constructs an empty model with the columns \c routingKey and \c text, and with the given \a parent.
*/
MessageModel::MessageModel(QObject *parent)
    : QAbstractTableModel(parent)
    , d(std::make_unique<MessageModelPrivate>(this))
{
    setColumns({u"routingKey"_s, u"text"_s});
}

/*! Destroys the model. The messages in it stay as they are, settled or not. */
MessageModel::~MessageModel() = default;

/*!
    Shows future deliveries of \a consumer (Consumer::batchDelivered()) in place of those of the previous consumer; null
    means no consumer. The rows stay. The consumer may live in another thread, and may be deleted at any time.
*/
void MessageModel::setConsumer(Consumer *consumer)
{
    delete std::exchange(d->subscription, nullptr); // also drops messages in transit from another thread
    if (!consumer)
        return;
    d->subscription = new QObject(this);
    connect(consumer, &Consumer::batchDelivered, d->subscription,
            [this](const QList<Message> &messages) { d->append(messages); });
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
        warn(u"maximumCount: %1 is not set, it cannot be negative"_s.arg(rows));
    else if (rows != d->maximumCount)
        d->setMaximumCount(rows);
}

int MessageModel::updateInterval() const
{
    return d->timer.interval();
}

void MessageModel::setUpdateInterval(int milliseconds)
{
    if (milliseconds < 0) {
        warn(u"updateInterval: %1 ms is not set, it cannot be negative"_s.arg(milliseconds));
    } else if (milliseconds != d->timer.interval()) {
        d->timer.setInterval(milliseconds);
        Q_EMIT updateIntervalChanged();
    }
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
    return d->columnNames;
}

void MessageModel::setColumns(const QStringList &columns)
{
    if (columns != d->columnNames)
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
    return parent.isValid() ? 0 : int(d->columns.size());
}

/*!
    \reimp

    Qt::DisplayRole returns a printable value: times in local time, objects and arrays as compact JSON, bytes that are
    not text in hexadecimal, and not more than 1000 characters. Qt::EditRole returns the unchanged value. The roles of
    \l Role return the same value in each column.
*/
QVariant MessageModel::data(const QModelIndex &index, int role) const
{
    if (!index.isValid() || index.row() >= d->rows.size() || index.column() >= d->columns.size())
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
    return section >= 0 && section < d->columns.size() ? d->columns.at(section).title() : QVariant();
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

/*!
    Logs \a text, which describes an invalid property value, as a warning in the category \c amqpqt.channel. A subclass
    may add the origin of the value, as the QML element does.
*/
void MessageModel::warn(const QString &text) const
{
    qCWarning(lcModel).noquote() << text;
}

} // namespace AmqpQt
