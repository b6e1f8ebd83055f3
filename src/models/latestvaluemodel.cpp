// SPDX-License-Identifier: MIT
#include <AmqpQt/latestvaluemodel.h>

#include "models/columnlist_p.h"
#include "models/consumerlist_p.h"
#include "models/logging_p.h"
#include "models/updatetimer_p.h"

#include <AmqpQt/messagemodel.h>

#include <QtCore/qhash.h>
#include <QtCore/qmap.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

/*!
    \class AmqpQt::LatestValueModel
    \inheaderfile AmqpQt/LatestValueModel
    \inmodule AmqpQt
    \since 0.1
    \brief The LatestValueModel class is a table model with one row per key, which shows the latest message of that key.

    \code
    auto *model = new AmqpQt::LatestValueModel(this); // one row per routing key
    model->setColumns({u"routingKey"_s, u"json.value"_s, u"json.unit"_s});
    model->addConsumer(channel->consume(u"temperatures"_s, {.ackMode = AmqpQt::AckMode::NoAck}));
    model->addConsumer(channel->consume(u"humidities"_s, {.ackMode = AmqpQt::AckMode::NoAck}));
    tableView->setModel(model);
    \endcode

    The key of a message is the value of its keyColumn(). A row keeps its position when its message changes, and new
    keys are appended. The model changes at most once per updateInterval(), however many messages arrive; of several
    messages with the same key within that time, only the newest is shown.

    The columns have the same names as those of MessageModel, see \l {MessageModel#Columns} {Columns}. An unknown column
    logs a warning in the category \c amqpqt.channel and stays empty.

    The model never settles a message. With AckMode::Manual, also connect to Consumer::batchDelivered() or
    Consumer::delivered() and settle the messages there; otherwise the consumer stops at its prefetch count.

    A model belongs to the thread of its views. Its consumers may live in other threads.

    \sa MessageModel, RateHistory, Consumer
*/

/*!
    \property AmqpQt::LatestValueModel::keyColumn
    \brief the column whose value is the key of a message; \c routingKey by default.

    Setting another column clears the model. Messages without a value in this column share a row.
*/

/*!
    \property AmqpQt::LatestValueModel::columns
    \brief the names of the columns; \c routingKey and \c text by default.
*/

/*!
    \property AmqpQt::LatestValueModel::updateInterval
    \brief the minimum time between two changes of the rows in milliseconds, 50 by default; 0 means once per turn of the
    event loop.

    A negative number is rejected with a warning.
*/

/*!
    \property AmqpQt::LatestValueModel::maximumCount
    \brief the maximum number of rows, 10000 by default and at least 1.

    Messages with further keys are left out, and a warning is logged. Setting a number below \l count clears the model.
    A number below 1 is rejected with a warning.
*/

/*!
    \property AmqpQt::LatestValueModel::count
    \brief the number of rows.
*/

/*!
    \fn void AmqpQt::LatestValueModel::keyColumnChanged()

    This signal is emitted when \l keyColumn has changed and the model was cleared.
*/

/*!
    \fn void AmqpQt::LatestValueModel::columnsChanged()

    This signal is emitted when the \l columns have changed and the model was reset.
*/

/*!
    \fn void AmqpQt::LatestValueModel::updateIntervalChanged()

    This signal is emitted when \l updateInterval has changed.
*/

/*!
    \fn void AmqpQt::LatestValueModel::maximumCountChanged()

    This signal is emitted when \l maximumCount has changed.
*/

/*!
    \fn void AmqpQt::LatestValueModel::countChanged()

    This signal is emitted when \l count has changed, at most once per \l updateInterval.
*/

class LatestValueModelPrivate
{
public:
    explicit LatestValueModelPrivate(LatestValueModel *model);

    struct Row {
        Message message;
        std::optional<QJsonValue> json; // the body, parsed when a view requests it
    };

    void append(const QList<Message> &messages);
    void setColumns(const QStringList &names);
    void setKeyColumn(const QString &name);
    void setMaximumCount(int newCount);
    void clear();

    static constexpr int DefaultMaximumCount = 10'000;
    static QString defaultKeyColumn() { return u"routingKey"_s; }

    LatestValueModel *const q;
    ConsumerList consumers;
    UpdateTimer updateTimer; // runs while changes are pending
    QList<Row> rows;
    int maximumCount = DefaultMaximumCount;
    QString keyColumnName = defaultKeyColumn();
    ColumnList columns;

private:
    QString keyOf(const Message &message) const;
    void update();
    void changeRows();
    void addRows();

    MessageColumn m_keyColumn{keyColumnName};
    QHash<QString, int> m_rowOfKey;
    // Since the last update:
    QHash<int, Message> m_changed; // by row
    QMap<QString, Message> m_new;  // by key
    bool m_hasWarnedOfFullModel = false;
};

LatestValueModelPrivate::LatestValueModelPrivate(LatestValueModel *model)
    : q(model)
    , consumers(model, batchesTo([this](const QList<Message> &messages) { append(messages); }))
    , updateTimer(model, [this] { update(); })
{
}

QString LatestValueModelPrivate::keyOf(const Message &message) const
{
    std::optional<QJsonValue> json;
    const QVariant value = m_keyColumn.value(message, json);
    const bool isText = value.typeId() == QMetaType::QString; // not shortened, as the display value would be
    return (isText ? value : m_keyColumn.display(message, json)).toString();
}

// Does as little as possible per message, since most messages are replaced before a view shows them.
void LatestValueModelPrivate::append(const QList<Message> &messages)
{
    bool isFull = false;
    for (const Message &message : messages) {
        const QString key = keyOf(message);
        if (const auto row = m_rowOfKey.constFind(key); row != m_rowOfKey.cend())
            m_changed.insert(*row, message);
        else if (rows.size() + m_new.size() < maximumCount || m_new.contains(key))
            m_new.insert(key, message);
        else
            isFull = true;
    }
    if (!m_changed.isEmpty() || !m_new.isEmpty())
        updateTimer.schedule();
    if (isFull && !std::exchange(m_hasWarnedOfFullModel, true))
        q->warn(
            u"maximumCount: there are more than %1 keys; messages with further keys are not shown"_s.arg(maximumCount));
}

// A slot may call any function of the model, or delete it.
void LatestValueModelPrivate::update()
{
    const QPointer<LatestValueModel> alive(q);
    changeRows();
    if (alive)
        addRows();
}

void LatestValueModelPrivate::changeRows()
{
    const QHash<int, Message> changed = std::exchange(m_changed, {});
    int first = int(rows.size());
    int last = -1;
    for (auto change = changed.cbegin(); change != changed.cend(); ++change) {
        rows[change.key()] = {change.value(), {}};
        first = std::min(first, change.key());
        last = std::max(last, change.key());
    }
    if (last >= 0 && columns.count() > 0)
        Q_EMIT q->dataChanged(q->index(first, 0), q->index(last, columns.count() - 1));
}

void LatestValueModelPrivate::addRows()
{
    if (m_new.isEmpty())
        return;
    const QPointer<LatestValueModel> alive(q);
    const int first = int(rows.size());
    const QMap<QString, Message> added = std::exchange(m_new, {});
    QList<Row> newRows;
    for (auto row = added.cbegin(); row != added.cend(); ++row) {
        m_rowOfKey.insert(row.key(), first + int(newRows.size()));
        newRows.append({row.value(), {}});
    }
    q->beginInsertRows({}, first, first + int(newRows.size()) - 1);
    rows += newRows;
    q->endInsertRows();
    if (alive)
        Q_EMIT q->countChanged();
}

void LatestValueModelPrivate::setColumns(const QStringList &names)
{
    const QPointer<LatestValueModel> alive(q);
    q->beginResetModel();
    columns.setNames(names);
    for (const QString &name : columns.unknownNames())
        q->warn(unknownColumnWarning("columns"_L1, name));
    q->endResetModel();
    if (alive)
        Q_EMIT q->columnsChanged();
}

void LatestValueModelPrivate::setKeyColumn(const QString &name)
{
    const QPointer<LatestValueModel> alive(q);
    keyColumnName = name;
    m_keyColumn = MessageColumn(name);
    if (!m_keyColumn.isKnown())
        q->warn(unknownColumnWarning("keyColumn"_L1, name));
    clear(); // the rows have other keys
    if (alive)
        Q_EMIT q->keyColumnChanged();
}

void LatestValueModelPrivate::setMaximumCount(int newCount)
{
    const QPointer<LatestValueModel> alive(q);
    maximumCount = newCount;
    m_hasWarnedOfFullModel = false;
    if (newCount < rows.size() + m_new.size())
        clear();
    if (alive)
        Q_EMIT q->maximumCountChanged();
}

void LatestValueModelPrivate::clear()
{
    updateTimer.cancel();
    m_changed.clear();
    m_new.clear();
    if (rows.isEmpty())
        return;
    const QPointer<LatestValueModel> alive(q);
    q->beginResetModel();
    rows.clear();
    m_rowOfKey.clear();
    q->endResetModel();
    if (alive)
        Q_EMIT q->countChanged();
}

/*!
    Constructs an empty model with the key column \c routingKey, the columns \c routingKey and \c text, and the given
    \a parent.
*/
LatestValueModel::LatestValueModel(QObject *parent)
    : QAbstractTableModel(parent)
    , d(std::make_unique<LatestValueModelPrivate>(this))
{
}

/*! Destroys the model. The messages in it stay as they are, settled or not. */
LatestValueModel::~LatestValueModel() = default;

/*!
    Shows future deliveries of \a consumer in place of those of all previous consumers; null means no consumer. The rows
    stay.

    \sa addConsumer()
*/
void LatestValueModel::setConsumer(Consumer *consumer)
{
    d->consumers.set(consumer);
}

/*!
    Shows future deliveries of \a consumer (Consumer::batchDelivered()) too. The consumer may live in another thread,
    and may be deleted at any time. The function does nothing for null and for a consumer that was added before.

    \sa removeConsumer(), consumers()
*/
void LatestValueModel::addConsumer(Consumer *consumer)
{
    d->consumers.add(consumer);
}

/*!
    Stops showing deliveries of \a consumer. The rows stay.
*/
void LatestValueModel::removeConsumer(Consumer *consumer)
{
    d->consumers.remove(consumer);
}

/*!
    Returns the consumers whose deliveries are shown, in the order in which they were added. Deleted consumers are not
    in the list.
*/
QList<Consumer *> LatestValueModel::consumers() const
{
    return d->consumers.consumers();
}

/*!
    Adds \a messages, the newest last. Use this function for sources other than a consumer. The rows change with the
    next update, not at once.
*/
void LatestValueModel::append(const QList<Message> &messages)
{
    d->append(messages);
}

/*!
    Removes all rows and pending messages.
*/
void LatestValueModel::clear()
{
    d->clear();
}

/*!
    Returns the message in \a row, or an empty one if there is no such row.
*/
Message LatestValueModel::message(int row) const
{
    return row >= 0 && row < count() ? d->rows.at(row).message : Message();
}

QString LatestValueModel::keyColumn() const
{
    return d->keyColumnName;
}

void LatestValueModel::setKeyColumn(const QString &column)
{
    if (column != d->keyColumnName)
        d->setKeyColumn(column);
}

QStringList LatestValueModel::columns() const
{
    return d->columns.names();
}

void LatestValueModel::setColumns(const QStringList &columns)
{
    if (columns != d->columns.names())
        d->setColumns(columns);
}

int LatestValueModel::updateInterval() const
{
    return d->updateTimer.interval();
}

void LatestValueModel::setUpdateInterval(int milliseconds)
{
    if (milliseconds < 0)
        warn(u"updateInterval: %1 ms is out of range; the minimum is 0 ms"_s.arg(milliseconds));
    else if (d->updateTimer.setInterval(milliseconds))
        Q_EMIT updateIntervalChanged();
}

int LatestValueModel::maximumCount() const
{
    return d->maximumCount;
}

void LatestValueModel::setMaximumCount(int rows)
{
    if (rows < 1)
        warn(u"maximumCount: %1 is out of range; the minimum is 1"_s.arg(rows));
    else if (rows != d->maximumCount)
        d->setMaximumCount(rows);
}

int LatestValueModel::count() const
{
    return int(d->rows.size());
}

/*! \reimp */
int LatestValueModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : count();
}

/*! \reimp */
int LatestValueModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : d->columns.count();
}

/*!
    \reimp

    Qt::DisplayRole and Qt::EditRole return the same values as those of MessageModel::data(), and
    MessageModel::MessageRole, named \c message in QML, returns the Message.
*/
QVariant LatestValueModel::data(const QModelIndex &index, int role) const
{
    if (!index.isValid() || index.row() >= count() || index.column() >= d->columns.count())
        return {};
    LatestValueModelPrivate::Row &row = d->rows[index.row()];
    switch (role) {
    case Qt::DisplayRole:
        return d->columns.at(index.column()).display(row.message, row.json);
    case Qt::EditRole:
        return d->columns.at(index.column()).value(row.message, row.json);
    case MessageModel::MessageRole:
        return QVariant::fromValue(row.message);
    default:
        return {};
    }
}

/*!
    \reimp

    The titles of the columns are those of MessageModel::columnTitle().
*/
QVariant LatestValueModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation == Qt::Vertical || role != Qt::DisplayRole)
        return QAbstractTableModel::headerData(section, orientation, role);
    return d->columns.title(section);
}

/*! \reimp */
QHash<int, QByteArray> LatestValueModel::roleNames() const
{
    QHash<int, QByteArray> names = QAbstractTableModel::roleNames();
    names.insert(MessageModel::MessageRole, "message"_ba);
    return names;
}

/*! \reimp */
bool LatestValueModel::event(QEvent *event)
{
    return QAbstractTableModel::event(event);
}

/*!
    Logs \a text, which describes an invalid property value or a full model, as a warning in the category
    \c amqpqt.channel. A subclass may add the origin of the value, as the QML element does.
*/
void LatestValueModel::warn(const QString &text) const
{
    qCWarning(lcModel).noquote() << text;
}

void LatestValueModel::resetKeyColumn()
{
    setKeyColumn(LatestValueModelPrivate::defaultKeyColumn());
}

void LatestValueModel::resetColumns()
{
    setColumns(ColumnList::defaultNames());
}

void LatestValueModel::resetUpdateInterval()
{
    setUpdateInterval(UpdateTimer::DefaultInterval);
}

void LatestValueModel::resetMaximumCount()
{
    setMaximumCount(LatestValueModelPrivate::DefaultMaximumCount);
}

} // namespace AmqpQt
