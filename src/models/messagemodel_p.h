// SPDX-License-Identifier: MIT
#pragma once

#include "models/columnlist_p.h"
#include "models/consumerlist_p.h"
#include "models/topicfilter_p.h"
#include "models/updatetimer_p.h"

#include <AmqpQt/messagemodel.h>

#include <QtCore/qhash.h>

namespace AmqpQt
{

class MessageModelPrivate
{
public:
    explicit MessageModelPrivate(MessageModel *model);

    void append(const QList<Message> &messages);
    void schedule();
    void setMaximumCount(int newCount);
    void setFilter(const TopicFilter &newFilter);
    void setColumns(const QStringList &names);
    void clear();

    QVariant display(int row, int column) const;
    QVariant value(int row, int column) const;
    const QJsonValue &json(int row) const;

    static constexpr int DefaultMaximumCount = 1000;

    MessageModel *const q;
    ConsumerList consumers;
    UpdateTimer updateTimer; // runs while signals are pending
    QList<Message> rows;     // newest first
    QList<Message> pending;  // newest last; not more than maximumCount
    qint64 totalCount = 0;
    qint64 droppedCount = 0;
    int maximumCount = DefaultMaximumCount;
    bool paused = false;
    ColumnList columns;
    TopicFilter filter;

private:
    // The values of a row that a view has requested, decoded once.
    struct Cells {
        std::optional<QJsonValue> json;
        QList<QVariant> display; // invalid if unknown or empty
    };

    void update();
    void insertPending();
    void overwriteWithPending();
    void trimPending();
    void noteNewRows(qsizetype count);
    void forgetCells();
    Cells &cells(int row) const;

    bool m_countIsNew = false; // not signalled yet
    // Keyed by the number of the message, so that entries move with their row. A change of the rows makes recent
    // entries old; old entries that no view requests before the next change are dropped.
    mutable QHash<qint64, Cells> m_recentCells;
    mutable QHash<qint64, Cells> m_oldCells;
    qint64 m_newest = 0; // the number of the message in row 0
};

} // namespace AmqpQt
