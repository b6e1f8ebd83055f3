// SPDX-License-Identifier: MIT
#pragma once

#include "models/messagecolumn_p.h"

#include <QtCore/qlist.h>
#include <QtCore/qstringlist.h>

namespace AmqpQt
{

// The columns of a model of messages, by their names. An unknown name is a column without values.
class ColumnList
{
public:
    ColumnList(); // with the default names

    static QStringList defaultNames();
    QStringList names() const { return m_names; }
    void setNames(const QStringList &names);
    QStringList unknownNames() const;

    int count() const { return int(m_columns.size()); }
    const MessageColumn &at(int column) const { return m_columns.at(column); }
    QVariant title(int column) const; // invalid if there is no such column

private:
    QStringList m_names;
    QList<MessageColumn> m_columns;
};

} // namespace AmqpQt
