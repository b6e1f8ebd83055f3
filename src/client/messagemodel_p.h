// SPDX-License-Identifier: MIT
#pragma once

#include "client/messagecolumn_p.h"
#include "client/topicfilter_p.h"

#include <AmqpQt/messagemodel.h>

#include <QtCore/qhash.h>
#include <QtCore/qtimer.h>

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

    MessageModel *const q;
    QTimer timer; // runs while something is to be told
    QObject *subscription = nullptr;
    QList<Message> rows;    // newest first
    QList<Message> pending; // newest last; not more than maximumCount
    qint64 totalCount = 0;
    qint64 droppedCount = 0;
    int maximumCount = 1000;
    bool paused = false;
    QStringList columnNames;
    QList<MessageColumn> columns;
    TopicFilter filter;

private:
    // What a view has asked for of a row, decoded once.
    struct Cells {
        std::optional<QJsonValue> json;
        QList<QVariant> display; // an invalid one is not known yet, or nothing
    };

    void update();
    void insertPending();
    void overwriteWithPending();
    void trimPending();
    void noteNewRows(qsizetype count);
    void forgetCells();
    Cells &cells(int row) const;

    bool m_countIsNew = false; // not told yet
    // By the number of the message, so that they move with their row. A change of the rows makes the recent ones old;
    // old ones that nobody asks for until the next change are forgotten.
    mutable QHash<qint64, Cells> m_recentCells;
    mutable QHash<qint64, Cells> m_oldCells;
    qint64 m_newest = 0; // the number of the message in row 0
};

} // namespace AmqpQt
