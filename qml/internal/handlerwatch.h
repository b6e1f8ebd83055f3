// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qlist.h>
#include <QtCore/qobject.h>
#include <QtCore/qpointer.h>
#include <QtQml/qqmlerror.h>

#include <utility>

QT_FORWARD_DECLARE_CLASS(QQmlEngine)

namespace AmqpQt
{

// Finds out whether a JavaScript handler of a signal has thrown an exception.
//
// The exception does not reach the code that emits the signal: the engine catches it, warns, and calls the next
// handler. By then the handler is no longer on the JavaScript stack. It still is when the engine warns about something
// that the handler has triggered, such as a binding.
class HandlerWatch : public QObject
{
    Q_OBJECT
public:
    void start(QQmlEngine *engine); // may be called again; exceptions are not noticed before

    // Calls emitSignal() and returns whether all handlers have returned. A handler may delete this object.
    template <typename Emit>
    bool call(Emit emitSignal)
    {
        const QPointer<HandlerWatch> self(this);
        const QList<int> before = std::exchange(m_throwDepths, {}); // the exceptions of an outer handler
        emitSignal();
        if (!self)
            return false;
        const QList<int> depths = std::exchange(m_throwDepths, before);
        return depths.isEmpty() || !depths.contains(stackDepth());
    }

private:
    int stackDepth() const;
    void onWarnings(const QList<QQmlError> &warnings);

    QPointer<QQmlEngine> m_engine;
    QList<int> m_throwDepths; // of the exceptions since the signal was emitted
};

} // namespace AmqpQt
