// SPDX-License-Identifier: MIT
#include "models/columnlist_p.h"

namespace AmqpQt
{

using namespace Qt::StringLiterals;

ColumnList::ColumnList()
{
    setNames(defaultNames());
}

QStringList ColumnList::defaultNames()
{
    return {u"routingKey"_s, u"text"_s};
}

void ColumnList::setNames(const QStringList &names)
{
    m_names = names;
    m_columns.clear();
    for (const QString &name : names)
        m_columns.append(MessageColumn(name));
}

QStringList ColumnList::unknownNames() const
{
    QStringList unknown;
    for (int column = 0; column < count(); ++column) {
        if (!at(column).isKnown())
            unknown += m_names.at(column);
    }
    return unknown;
}

QVariant ColumnList::title(int column) const
{
    return column >= 0 && column < count() ? at(column).title() : QVariant();
}

} // namespace AmqpQt
