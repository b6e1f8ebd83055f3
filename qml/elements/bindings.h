// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qlist.h>
#include <QtCore/qpointer.h>
#include <QtCore/qvariant.h>

#include <algorithm>
#include <memory>

namespace AmqpQt
{

struct Binding {
    QString queue;
    QString exchange;
    QString routingKey;
    QVariantMap arguments;
    bool operator==(const Binding &) const = default;
};

// The bindings that one QueueBinding may have at the broker: usually one, more while it changes. Outstanding calls keep
// a reference, so that they can clean up after the element has been destroyed.
struct BoundByElement {
    QPointer<QObject> element;
    QList<Binding> bindings;
    Binding last; // sent
};

// The bindings of all elements of a connection. A binding that several elements share is removed with the last of them.
class Bindings
{
public:
    std::shared_ptr<BoundByElement> add(QObject *element)
    {
        m_all.removeIf([](const std::weak_ptr<BoundByElement> &one) { return one.expired(); });
        const auto bound = std::make_shared<BoundByElement>();
        bound->element = element;
        m_all.append(bound);
        return bound;
    }

    void renameQueue(const QString &oldName, const QString &newName)
    {
        const auto rename = [&](Binding &binding) {
            if (binding.queue == oldName)
                binding.queue = newName;
        };
        for (const std::weak_ptr<BoundByElement> &one : std::as_const(m_all)) {
            if (const auto bound = one.lock()) {
                rename(bound->last);
                std::for_each(bound->bindings.begin(), bound->bindings.end(), rename);
            }
        }
    }

    bool isWantedByAnother(const Binding &binding, const std::shared_ptr<BoundByElement> &own) const
    {
        return std::any_of(m_all.cbegin(), m_all.cend(), [&](const std::weak_ptr<BoundByElement> &one) {
            const auto other = one.lock();
            return other && other != own && other->element && other->bindings.contains(binding);
        });
    }

private:
    QList<std::weak_ptr<BoundByElement>> m_all;
};

} // namespace AmqpQt
