// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qlist.h>
#include <QtCore/qpointer.h>
#include <QtQml/qqmllist.h>

namespace AmqpQt
{

// The contents of a list property of an element. Deleted objects are removed from it.
template <typename T>
class ObjectList
{
public:
    QQmlListProperty<T> property(QObject *owner) { return {owner, this, append, count, at, clear}; }

private:
    using Property = QQmlListProperty<T>;
    static QList<QPointer<T>> &objects(Property *property)
    {
        auto &objects = static_cast<ObjectList *>(property->data)->m_objects;
        objects.removeAll(nullptr);
        return objects;
    }
    static void append(Property *property, T *object) { objects(property).append(object); }
    static qsizetype count(Property *property) { return objects(property).size(); }
    static T *at(Property *property, qsizetype index) { return objects(property).value(index); }
    static void clear(Property *property) { objects(property).clear(); }

    QList<QPointer<T>> m_objects;
};

} // namespace AmqpQt
