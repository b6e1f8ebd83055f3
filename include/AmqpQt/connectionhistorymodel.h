// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/global.h>

#include <QtCore/qabstractitemmodel.h>

#include <memory>

namespace AmqpQt
{

class Connection;
class ConnectionHistoryModelPrivate;

// What has happened to a connection, for any Qt view: one row for each event, newest first, up to maximumCount() rows.
class AMQPQT_EXPORT ConnectionHistoryModel : public QAbstractTableModel
{
    Q_OBJECT
    Q_PROPERTY(
        int maximumCount READ maximumCount WRITE setMaximumCount RESET resetMaximumCount NOTIFY maximumCountChanged)
    Q_PROPERTY(int count READ count NOTIFY countChanged)
    Q_DISABLE_COPY_MOVE(ConnectionHistoryModel)
public:
    enum class Event : int { Opened, Lost, AttemptFailed, Recovered, Closed };
    Q_ENUM(Event)
    enum Column { TimeColumn, EventColumn, ReasonColumn, DurationColumn, SkippedColumn, ColumnCount };
    Q_ENUM(Column)
    enum Role {
        TimeRole = Qt::UserRole,
        EventRole,
        EventTextRole,
        ReasonRole,
        DurationRole, // in milliseconds
        SkippedRole,  // what a recovery could not restore
    };
    Q_ENUM(Role)

    explicit ConnectionHistoryModel(QObject *parent = nullptr);
    ~ConnectionHistoryModel() override;

    Connection *connection() const;
    void setConnection(Connection *connection); // keeps the rows; nullptr ends the observation
    int maximumCount() const;
    void setMaximumCount(int rows);
    int count() const;
    Q_INVOKABLE void clear();

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    QHash<int, QByteArray> roleNames() const override;

Q_SIGNALS:
    void maximumCountChanged();
    void countChanged();

private:
    void resetMaximumCount(); // sets the default

    friend class ConnectionHistoryModelPrivate;
    std::unique_ptr<ConnectionHistoryModelPrivate> d;
};

} // namespace AmqpQt
