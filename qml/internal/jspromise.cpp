// SPDX-License-Identifier: MIT
#include "jspromise.h"

#include <QtCore/qmetaobject.h>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

JsPromise::JsPromise(QJSEngine *engine, const QJSValue &ends)
    : m_engine(engine)
    , m_ends(ends)
{
}

QJSValue JsPromise::value() const
{
    return m_ends.property(u"promise"_s);
}

void JsPromise::resolve()
{
    if (!m_engine)
        return;
    QMetaObject::invokeMethod(
        m_engine, [ends = std::move(m_ends)] { ends.property(u"resolve"_s).call(); }, Qt::QueuedConnection);
}

// Rejects with a JavaScript Error that has the text of the error as its message and the error as its cause.
void JsPromise::reject(const Error &error)
{
    if (!m_engine)
        return;
    QMetaObject::invokeMethod(
        m_engine,
        [engine = m_engine.data(), ends = std::move(m_ends), error] {
            QJSValue reason = engine->newErrorObject(QJSValue::GenericError, error.text());
            reason.setProperty(u"cause"_s, engine->toScriptValue(error));
            ends.property(u"reject"_s).call({reason});
        },
        Qt::QueuedConnection);
}

JsPromise JsPromiseFactory::create(QJSEngine *engine)
{
    if (!engine)
        return {};
    if (!m_function.isCallable()) {
        m_function = engine->evaluate(u"(() => {"
                                      "    const ends = {};"
                                      "    ends.promise = new Promise((resolve, reject) => {"
                                      "        ends.resolve = resolve;"
                                      "        ends.reject = reject;"
                                      "    });"
                                      "    return ends;"
                                      "})"_s);
    }
    return JsPromise(engine, m_function.call());
}

} // namespace AmqpQt
