// SPDX-License-Identifier: MIT
#include "latestvaluemodel.h"

#include "jsvalues.h"

#include <AmqpQt/messagemodel.h>

#include <QtQml/qqmlinfo.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

LatestValueModel::LatestValueModel(QObject *parent)
    : QAbstractTableModel(parent)
    , m_keyColumn(u"routingKey"_s)
    , m_columns({u"routingKey"_s, u"text"_s})
{
}

void LatestValueModel::setConsumer(QmlConsumer *consumer)
{
    if (m_consumer == consumer)
        return;
    if (m_consumer)
        m_consumer->disconnect(this);
    m_consumer = consumer;
    if (consumer)
        connect(consumer, &QmlConsumer::batchDelivered, this, &LatestValueModel::append);
    Q_EMIT consumerChanged();
}

void LatestValueModel::warnOfColumn(const char *property, const QString &column) const
{
    if (!MessageModel::isColumn(column))
        qmlWarning(this) << property << ": \"" << column << "\" is no column of a message";
}

void LatestValueModel::setKeyColumn(const QString &column)
{
    if (m_keyColumn == column)
        return;
    warnOfColumn("keyColumn", column);
    m_keyColumn = column;
    clear(); // the rows have other keys
    Q_EMIT keyColumnChanged();
}

void LatestValueModel::setColumns(const QStringList &columns)
{
    if (m_columns == columns)
        return;
    for (const QString &column : columns)
        warnOfColumn("columns", column);
    beginResetModel();
    m_columns = columns;
    endResetModel();
    Q_EMIT columnsChanged();
}

void LatestValueModel::setUpdateInterval(int milliseconds)
{
    if (milliseconds < 0) {
        qmlWarning(this) << "updateInterval: " << milliseconds << " is negative";
    } else if (std::exchange(m_updateInterval, milliseconds) != milliseconds) {
        if (m_timer.isActive())
            m_timer.start(milliseconds, this);
        Q_EMIT updateIntervalChanged();
    }
}

void LatestValueModel::setMaximumCount(int rows)
{
    if (rows < 1) {
        qmlWarning(this) << "maximumCount: " << rows << " is less than 1";
        return;
    }
    if (std::exchange(m_maximumCount, rows) == rows)
        return;
    m_warnedOfFull = false;
    if (rows < count())
        clear();
    Q_EMIT maximumCountChanged();
}

void LatestValueModel::clear()
{
    m_timer.stop();
    m_changes.clear();
    m_newCount = 0;
    if (m_rows.isEmpty())
        return;
    beginResetModel();
    m_rows.clear();
    m_rowOfKey.clear();
    endResetModel();
    Q_EMIT countChanged();
}

void LatestValueModel::append(const QList<Message> &messages)
{
    for (const Message &message : messages) {
        const QVariant value = MessageModel::value(message, m_keyColumn);
        const bool isText = value.typeId() == QMetaType::QString;
        const QString key = (isText ? value : MessageModel::value(message, m_keyColumn, Qt::DisplayRole)).toString();
        const bool isNew = !m_rowOfKey.contains(key) && !m_changes.contains(key);
        if (!isNew || count() + m_newCount < m_maximumCount) {
            m_changes.insert(key, message);
            m_newCount += isNew;
        } else if (!std::exchange(m_warnedOfFull, true)) {
            qmlWarning(this) << "there are more keys than " << m_maximumCount << " rows: the others are left out";
        }
    }
    if (!m_changes.isEmpty() && !m_timer.isActive())
        m_timer.start(m_updateInterval, this);
}

void LatestValueModel::timerEvent(QTimerEvent *)
{
    m_timer.stop();
    const QHash<QString, Message> changes = std::exchange(m_changes, {});
    m_newCount = 0;
    int first = count();
    int last = -1;
    QStringList newKeys;
    for (auto change = changes.begin(); change != changes.end(); ++change) {
        const auto row = m_rowOfKey.constFind(change.key());
        if (row == m_rowOfKey.cend()) {
            newKeys.append(change.key());
            continue;
        }
        m_rows[*row] = change.value();
        first = std::min(first, *row);
        last = std::max(last, *row);
    }
    const QPointer<LatestValueModel> self(this);
    if (last >= 0 && !m_columns.isEmpty())
        Q_EMIT dataChanged(index(first, 0), index(last, columnCount() - 1));
    if (!self || newKeys.isEmpty())
        return;
    newKeys.sort();
    beginInsertRows({}, count(), count() + int(newKeys.size()) - 1);
    for (const QString &key : std::as_const(newKeys)) {
        m_rowOfKey.insert(key, count());
        m_rows.append(changes.value(key));
    }
    endInsertRows();
    Q_EMIT countChanged();
}

int LatestValueModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : count();
}

int LatestValueModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_columns.size());
}

QVariant LatestValueModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const Message &message = m_rows.at(index.row());
    switch (role) {
    case Qt::DisplayRole:
    case Qt::EditRole:
        return toScript(MessageModel::value(message, m_columns.at(index.column()), role));
    case MessageModel::MessageRole:
        return QVariant::fromValue(message);
    default:
        return {};
    }
}

QVariant LatestValueModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (role != Qt::DisplayRole || orientation != Qt::Horizontal || section < 0 || section >= columnCount())
        return QAbstractTableModel::headerData(section, orientation, role);
    return MessageModel::columnTitle(m_columns.at(section));
}

QHash<int, QByteArray> LatestValueModel::roleNames() const
{
    QHash<int, QByteArray> names = QAbstractTableModel::roleNames();
    names.insert(MessageModel::MessageRole, "message");
    return names;
}

} // namespace AmqpQt
