// SPDX-License-Identifier: MIT
#include "models/messagemodel_p.h"

#include <QtCore/qpointer.h>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

MessageModelPrivate::MessageModelPrivate(MessageModel *model)
    : q(model)
    , consumers(model, batchesTo([this](const QList<Message> &messages) { append(messages); }))
    , updateTimer(model, [this] { update(); })
{
}

// Does as little as possible per message, since 100 000 may arrive in a second and most are never shown.
void MessageModelPrivate::append(const QList<Message> &messages)
{
    if (messages.isEmpty())
        return;
    totalCount += messages.size();
    m_countIsNew = true;
    for (const Message &message : messages) {
        if (filter.matches(message)) {
            pending.append(message);
            trimPending();
        }
    }
    schedule();
}

void MessageModelPrivate::trimPending()
{
    while (pending.size() > maximumCount) {
        pending.removeFirst();
        ++droppedCount;
    }
}

void MessageModelPrivate::schedule()
{
    const bool rowsAreNew = !paused && !pending.isEmpty();
    if (rowsAreNew || m_countIsNew)
        updateTimer.schedule();
}

// A slot may call any function of the model, or delete it, so the state is checked again after each signal.
void MessageModelPrivate::update()
{
    const QPointer<MessageModel> alive(q);
    insertPending();
    if (alive)
        overwriteWithPending();
    if (!alive)
        return;
    const bool countIsNew = m_countIsNew;
    m_countIsNew = false;
    schedule(); // a slot may have changed the pending messages
    if (countIsNew)
        Q_EMIT q->countChanged();
}

void MessageModelPrivate::insertPending()
{
    const qsizetype count = qMin(pending.size(), maximumCount - rows.size());
    if (paused || count <= 0)
        return;
    q->beginInsertRows({}, 0, int(count) - 1);
    for (qsizetype i = 0; i < count; ++i)
        rows.prepend(pending.takeFirst());
    noteNewRows(count);
    m_countIsNew = true;
    q->endInsertRows();
}

void MessageModelPrivate::overwriteWithPending()
{
    if (paused || pending.isEmpty() || rows.size() < maximumCount)
        return;
    noteNewRows(pending.size());
    while (!pending.isEmpty()) {
        rows.removeLast();
        rows.prepend(pending.takeFirst());
    }
    if (columns.count() > 0)
        Q_EMIT q->dataChanged(q->index(0, 0), q->index(int(rows.size()) - 1, columns.count() - 1));
}

void MessageModelPrivate::setMaximumCount(int newCount)
{
    const QPointer<MessageModel> alive(q);
    maximumCount = newCount;
    trimPending();
    if (rows.size() > newCount) {
        q->beginRemoveRows({}, newCount, int(rows.size()) - 1);
        rows.resize(newCount);
        q->endRemoveRows();
    }
    if (alive)
        Q_EMIT q->countChanged();
    if (alive)
        Q_EMIT q->maximumCountChanged();
}

void MessageModelPrivate::setFilter(const TopicFilter &newFilter)
{
    const auto isOther = [&newFilter](const Message &message) { return !newFilter.matches(message); };
    const QPointer<MessageModel> alive(q);
    q->beginResetModel();
    filter = newFilter;
    pending.removeIf(isOther);
    rows.removeIf(isOther);
    forgetCells();
    q->endResetModel();
    if (alive)
        Q_EMIT q->countChanged();
    if (alive)
        Q_EMIT q->filterRoutingKeyChanged();
}

void MessageModelPrivate::setColumns(const QStringList &names)
{
    const QPointer<MessageModel> alive(q);
    q->beginResetModel();
    columns.setNames(names);
    for (const QString &name : columns.unknownNames())
        q->warn(unknownColumnWarning("columns"_L1, name));
    forgetCells();
    q->endResetModel();
    if (alive)
        Q_EMIT q->columnsChanged();
}

void MessageModelPrivate::clear()
{
    const QPointer<MessageModel> alive(q);
    pending.clear();
    totalCount = 0;
    droppedCount = 0;
    if (!rows.isEmpty()) {
        q->beginRemoveRows({}, 0, int(rows.size()) - 1);
        rows.clear();
        forgetCells();
        q->endRemoveRows();
    }
    if (alive)
        Q_EMIT q->countChanged();
}

void MessageModelPrivate::noteNewRows(qsizetype count)
{
    m_newest += count;
    m_oldCells = std::exchange(m_recentCells, {});
}

void MessageModelPrivate::forgetCells()
{
    m_recentCells.clear();
    m_oldCells.clear();
}

MessageModelPrivate::Cells &MessageModelPrivate::cells(int row) const
{
    const qint64 number = m_newest - row;
    auto found = m_recentCells.find(number);
    if (found == m_recentCells.end())
        found = m_recentCells.insert(number, m_oldCells.take(number));
    return *found;
}

QVariant MessageModelPrivate::display(int row, int column) const
{
    Cells &known = cells(row);
    known.display.resize(columns.count());
    QVariant &display = known.display[column];
    if (!display.isValid())
        display = columns.at(column).display(rows.at(row), known.json);
    return display;
}

QVariant MessageModelPrivate::value(int row, int column) const
{
    return columns.at(column).value(rows.at(row), cells(row).json);
}

const QJsonValue &MessageModelPrivate::json(int row) const
{
    return parsedJson(rows.at(row), cells(row).json);
}

} // namespace AmqpQt
