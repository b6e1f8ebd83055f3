// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qpointer.h>
#include <QtQml/qjsengine.h>
#include <QtQml/qjsvalue.h>

namespace AmqpQt
{

// A promise of JavaScript that C++ ends. It ends by an event to the engine, so that this can be done anywhere, also
// while the engine destroys its objects; nothing happens once the engine is gone.
class JsPromise
{
public:
    JsPromise() = default; // none
    JsPromise(QJSEngine *engine, const QJSValue &ends);

    bool exists() const { return !m_engine.isNull(); }
    QJSValue value() const; // for JavaScript
    void resolve();         // with undefined
    void reject(const Error &error);

private:
    QPointer<QJSEngine> m_engine;
    QJSValue m_ends;
};

// Makes the promises of an element.
class JsPromiseFactory
{
public:
    JsPromise create(QJSEngine *engine);

private:
    QJSValue m_function;
};

} // namespace AmqpQt
