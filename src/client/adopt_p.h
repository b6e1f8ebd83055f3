// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qmetaobject.h>
#include <QtCore/qobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qthread.h>

#include <memory>
#include <utility>

namespace AmqpQt
{

// Makes a new object without a parent the child of `parent`, which may live in another thread. If `parent` is destroyed
// before its thread has done that, the object is deleted as well.
inline void adopt(QObject *parent, QObject *object)
{
    if (parent->thread() == QThread::currentThread())
        return object->setParent(parent);

    struct Orphan {
        explicit Orphan(QObject *orphan)
            : object(orphan)
        {
        }
        Orphan(const Orphan &) = delete;
        Orphan &operator=(const Orphan &) = delete;
        ~Orphan() { delete object; }
        QPointer<QObject> object;
    };
    const auto orphan = std::make_shared<Orphan>(object);
    object->moveToThread(parent->thread());
    QMetaObject::invokeMethod(
        parent,
        [parent, orphan] {
            if (QObject *adopted = std::exchange(orphan->object, nullptr))
                adopted->setParent(parent);
        },
        Qt::QueuedConnection);
}

} // namespace AmqpQt
