// SPDX-License-Identifier: MIT
#include <AmqpQt/connectionhistorymodel.h>

#include "models/logging_p.h"

#include <AmqpQt/connection.h>

#include <QtCore/qdatetime.h>
#include <QtCore/qelapsedtimer.h>
#include <QtCore/qlist.h>
#include <QtCore/qpointer.h>

#include <optional>
#include <utility>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

constexpr int DefaultMaximumCount = 1000;

struct Entry {
    QDateTime time;
    ConnectionHistoryModel::Event event;
    QString reason;
    std::optional<qint64> duration; // in milliseconds
    QStringList skipped;
};

QString durationText(qint64 milliseconds)
{
    const qint64 seconds = milliseconds / 1000;
    const qint64 minutes = seconds / 60;
    if (minutes >= 60)
        return ConnectionHistoryModel::tr("%1 h %2 min").arg(minutes / 60).arg(minutes % 60);
    if (minutes > 0)
        return ConnectionHistoryModel::tr("%1 min %2 s").arg(minutes).arg(seconds % 60);
    return ConnectionHistoryModel::tr("%1 s").arg(double(milliseconds) / 1000, 0, 'f', 1);
}

QString eventText(ConnectionHistoryModel::Event event)
{
    using enum ConnectionHistoryModel::Event;
    switch (event) {
    case Opened:
        return ConnectionHistoryModel::tr("Connected");
    case Lost:
        return ConnectionHistoryModel::tr("Connection lost");
    case AttemptFailed:
        return ConnectionHistoryModel::tr("Attempt failed");
    case Recovered:
        return ConnectionHistoryModel::tr("Recovered");
    case Closed:
        return ConnectionHistoryModel::tr("Closed");
    }
    return {};
}

} // namespace

class ConnectionHistoryModelPrivate
{
public:
    using Event = ConnectionHistoryModel::Event;

    explicit ConnectionHistoryModelPrivate(ConnectionHistoryModel *model)
        : q(model)
    {
    }

    void watch(Connection *newConnection);
    void add(Event event, const QString &reason, std::optional<qint64> duration = {}, const QStringList &skipped = {});
    void trim(int maximum);

    ConnectionHistoryModel *const q;
    QPointer<Connection> connection;
    QList<Entry> entries; // oldest first
    int maximumCount = DefaultMaximumCount;
    bool isOpen = false;
    QElapsedTimer sinceChange; // of isOpen
};

void ConnectionHistoryModelPrivate::watch(Connection *newConnection)
{
    if (connection)
        QObject::disconnect(connection, nullptr, q, nullptr);
    connection = newConnection;
    isOpen = connection && connection->isOpen();
    sinceChange.start();
    if (!connection)
        return;
    QObject::connect(connection, &Connection::opened, q, [this] {
        isOpen = true;
        sinceChange.start();
        add(Event::Opened, {});
    });
    QObject::connect(connection, &Connection::reconnecting, q, [this] {
        const QString reason = connection->error().text();
        if (!std::exchange(isOpen, false))
            return add(Event::AttemptFailed, reason);
        add(Event::Lost, reason, sinceChange.restart());
    });
    QObject::connect(connection, &Connection::recovered, q, [this](const RecoveryReport &report) {
        isOpen = true;
        add(Event::Recovered, {}, sinceChange.restart(), report.failures());
    });
    QObject::connect(connection, &Connection::closed, q, [this](const Error &reason) {
        const bool wasOpen = std::exchange(isOpen, false);
        add(Event::Closed, reason.text(), wasOpen ? std::optional(sinceChange.restart()) : std::nullopt);
    });
}

void ConnectionHistoryModelPrivate::add(Event event, const QString &reason, std::optional<qint64> duration,
                                        const QStringList &skipped)
{
    trim(maximumCount - 1);
    q->beginInsertRows({}, 0, 0);
    entries.append({QDateTime::currentDateTime(), event, reason, duration, skipped});
    q->endInsertRows();
    Q_EMIT q->countChanged();
}

void ConnectionHistoryModelPrivate::trim(int maximum)
{
    const qsizetype excess = entries.size() - maximum;
    if (excess <= 0)
        return;
    q->beginRemoveRows({}, maximum, int(entries.size()) - 1);
    entries.remove(0, excess);
    q->endRemoveRows();
}

/*!
    \class AmqpQt::ConnectionHistoryModel
    \inheaderfile AmqpQt/ConnectionHistoryModel
    \inmodule AmqpQt
    \since 0.1
    \brief The ConnectionHistoryModel class lists what has happened to a connection, for a view.

    There is one row for each event, the newest first: when the connection was opened, was lost, could not be opened,
   has recovered, or has ended. The columns, and the roles for QML, contain

    \table
    \header \li Column \li Role in QML \li Contents
    \row \li TimeColumn \li \c time \li when it happened
    \row \li EventColumn \li \c event, \c eventText \li the Event, and its translated name
    \row \li ReasonColumn \li \c reason \li the text of the error
    \row \li DurationColumn \li \c duration \li how long the connection had been open, or, with Recovered, the outage
             lasted; in milliseconds
    \row \li SkippedColumn \li \c skipped \li what a recovery could not restore, as RecoveryReport::failures()
    \endtable

    \code
    auto *model = new AmqpQt::ConnectionHistoryModel(view);
    model->setConnection(connection);
    view->setModel(model);
    \endcode

    The model must live in the thread of the connection.

    \sa {Recovery}
*/

/*!
    \enum AmqpQt::ConnectionHistoryModel::Event

    \value Opened The connection was opened by Connection::open().
    \value Lost The open connection was lost and recovers.
    \value AttemptFailed An attempt to open the connection failed, and another one follows.
    \value Recovered The connection is open again, and everything that can be restored is restored.
    \value Closed The connection has ended, or could not be opened.
*/

/*!
    \enum AmqpQt::ConnectionHistoryModel::Column
    \brief The columns, see the class description.

    \value TimeColumn
    \value EventColumn
    \value ReasonColumn
    \value DurationColumn
    \value SkippedColumn
    \value ColumnCount The number of columns.
*/

/*!
    \enum AmqpQt::ConnectionHistoryModel::Role
    \brief The roles, see the class description.

    \value TimeRole
    \value EventRole
    \value EventTextRole
    \value ReasonRole
    \value DurationRole
    \value SkippedRole
*/

/*!
    \property AmqpQt::ConnectionHistoryModel::maximumCount
    \brief the maximum number of rows, at least 1; 1000 by default. The oldest rows are removed.
*/

/*!
    \fn void AmqpQt::ConnectionHistoryModel::maximumCountChanged()

    This signal is emitted when maximumCount() has changed.
*/

/*!
    \fn void AmqpQt::ConnectionHistoryModel::countChanged()

    This signal is emitted when rows were added or removed.
*/

/*!
    \property AmqpQt::ConnectionHistoryModel::count
    \brief the number of rows.
*/

/*!
    Constructs a model without a connection, which is a child of \a parent.
*/
ConnectionHistoryModel::ConnectionHistoryModel(QObject *parent)
    : QAbstractTableModel(parent)
    , d(std::make_unique<ConnectionHistoryModelPrivate>(this))
{
}

ConnectionHistoryModel::~ConnectionHistoryModel() = default;

/*!
    Returns the connection that is observed, or null.
*/
Connection *ConnectionHistoryModel::connection() const
{
    return d->connection;
}

/*!
    Observes \a connection from now on, or nothing if it is null. The rows stay.
*/
void ConnectionHistoryModel::setConnection(Connection *connection)
{
    if (connection != d->connection)
        d->watch(connection);
}

int ConnectionHistoryModel::maximumCount() const
{
    return d->maximumCount;
}

void ConnectionHistoryModel::setMaximumCount(int rows)
{
    if (rows < 1) {
        qCWarning(lcModel, "ConnectionHistoryModel: maximumCount: %d is out of range; the minimum is 1", rows);
        return;
    }
    if (std::exchange(d->maximumCount, rows) == rows)
        return;
    const int before = count();
    d->trim(rows);
    Q_EMIT maximumCountChanged();
    if (count() != before)
        Q_EMIT countChanged();
}

void ConnectionHistoryModel::resetMaximumCount()
{
    setMaximumCount(DefaultMaximumCount);
}

int ConnectionHistoryModel::count() const
{
    return int(d->entries.size());
}

/*!
    Removes all rows.
*/
void ConnectionHistoryModel::clear()
{
    if (d->entries.isEmpty())
        return;
    d->trim(0);
    Q_EMIT countChanged();
}

/*!
    \reimp
*/
int ConnectionHistoryModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : count();
}

/*!
    \reimp
*/
int ConnectionHistoryModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : ColumnCount;
}

/*!
    \reimp
*/
QVariant ConnectionHistoryModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid | CheckIndexOption::ParentIsInvalid))
        return {};
    const Entry &entry = d->entries.at(d->entries.size() - 1 - index.row());
    const QVariant duration = entry.duration ? QVariant(*entry.duration) : QVariant();
    switch (role) {
    case TimeRole:
        return entry.time;
    case EventRole:
        return int(entry.event);
    case EventTextRole:
        return eventText(entry.event);
    case ReasonRole:
        return entry.reason;
    case DurationRole:
        return duration;
    case SkippedRole:
        return entry.skipped;
    case Qt::DisplayRole:
        break;
    case Qt::ToolTipRole:
        return index.column() == SkippedColumn ? entry.skipped.join(u'\n') : QVariant();
    default:
        return {};
    }
    switch (index.column()) {
    case TimeColumn:
        return entry.time;
    case EventColumn:
        return eventText(entry.event);
    case ReasonColumn:
        return entry.reason;
    case DurationColumn:
        return entry.duration ? durationText(*entry.duration) : QVariant();
    default:
        return entry.skipped.join("; "_L1);
    }
}

/*!
    \reimp
*/
QVariant ConnectionHistoryModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole)
        return QAbstractTableModel::headerData(section, orientation, role);
    switch (section) {
    case TimeColumn:
        return tr("Time");
    case EventColumn:
        return tr("Event");
    case ReasonColumn:
        return tr("Reason");
    case DurationColumn:
        return tr("Duration");
    case SkippedColumn:
        return tr("Not restored");
    default:
        return {};
    }
}

/*!
    \reimp
*/
QHash<int, QByteArray> ConnectionHistoryModel::roleNames() const
{
    QHash<int, QByteArray> names = QAbstractTableModel::roleNames();
    names.insert({{TimeRole, "time"},
                  {EventRole, "event"},
                  {EventTextRole, "eventText"},
                  {ReasonRole, "reason"},
                  {DurationRole, "duration"},
                  {SkippedRole, "skipped"}});
    return names;
}

} // namespace AmqpQt
