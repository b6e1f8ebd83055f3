// SPDX-License-Identifier: MIT
#include "handlerwatch.h"

#include <QtQml/qqmlengine.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

void HandlerWatch::start(QQmlEngine *engine)
{
    if (m_engine || !engine)
        return;
    m_engine = engine;
    connect(engine, &QQmlEngine::warnings, this, &HandlerWatch::onWarnings);
}

// Returns how many JavaScript functions are running.
int HandlerWatch::stackDepth() const
{
    return m_engine ? int(m_engine->evaluate(u"new Error().stack"_s).toString().count(u'\n')) : 0;
}

void HandlerWatch::onWarnings(const QList<QQmlError> &warnings)
{
    // A warning of an element begins with "QML Consumer: …".
    const bool isException = std::any_of(warnings.cbegin(), warnings.cend(), [](const QQmlError &warning) {
        return !warning.object() && !warning.description().startsWith("QML "_L1);
    });
    if (isException)
        m_throwDepths.append(stackDepth());
}

} // namespace AmqpQt
