; Hearth's installer for Windows: for this user, without administrator rights, over a former version in place.
;
; Silent:      Hearth-setup.exe /S [/D=C:\folder]      (keeps settings, models and chats)
; Uninstall:   uninstall.exe /S [/DELETEDATA]          (/DELETEDATA removes models, chats and settings as well)
;
; Made by packaging/devkit/windows.py, which defines VERSION, VERSION4, PROGRAM, ICON, TARGET, LICENSE, SIZE_KB and,
; where there is a certificate, SIGN (a command with %1 for the file).
Unicode true
ManifestDPIAware true
SetCompressor /SOLID lzma
!include MUI2.nsh
!include FileFunc.nsh
!include LogicLib.nsh
!include x64.nsh

!define NAME "Hearth"
!define KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\${NAME}"
!define TYPE "Hearth.gguf"

Name "${NAME}"
OutFile "${TARGET}"
RequestExecutionLevel user
InstallDir "$LOCALAPPDATA\Programs\${NAME}"
InstallDirRegKey HKCU "${KEY}" "InstallLocation"
BrandingText "${NAME} ${VERSION}"
VIProductVersion "${VERSION4}"
VIAddVersionKey "ProductName" "${NAME}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "FileDescription" "Run language models on your own machine"
VIAddVersionKey "LegalCopyright" "The Hearth authors, Apache-2.0"
!ifdef SIGN
  !finalize '${SIGN}'
  !uninstfinalize '${SIGN}'
!endif

!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!define MUI_ABORTWARNING
!define MUI_FINISHPAGE_RUN "$INSTDIR\hearth.exe"
!insertmacro MUI_PAGE_LICENSE "${LICENSE}"
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_COMPONENTS
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "Vietnamese"

LangString RUNNING ${LANG_ENGLISH} "Hearth is running. Close it, then go on."
LangString RUNNING ${LANG_VIETNAMESE} "Hearth đang chạy. Hãy đóng nó rồi tiếp tục."
LangString NEEDS64 ${LANG_ENGLISH} "Hearth needs a 64-bit Windows 10 or newer."
LangString NEEDS64 ${LANG_VIETNAMESE} "Hearth cần Windows 10 64-bit trở lên."
LangString NEWCHAT ${LANG_ENGLISH} "New chat"
LangString NEWCHAT ${LANG_VIETNAMESE} "Cuộc trò chuyện mới"
LangString SECPROGRAM ${LANG_ENGLISH} "The program"
LangString SECPROGRAM ${LANG_VIETNAMESE} "Chương trình"
LangString SECDATA ${LANG_ENGLISH} "Models, chats and settings, too"
LangString SECDATA ${LANG_VIETNAMESE} "Cả mô hình, cuộc trò chuyện và cài đặt"

Function .onInit
  ${IfNot} ${RunningX64}
    MessageBox MB_OK|MB_ICONSTOP "$(NEEDS64)" /SD IDOK
    SetErrorLevel 3
    Quit
  ${EndIf}
FunctionEnd

; A running copy keeps its file open: it can be read, but not opened for writing.
!macro WaitUntilClosed un
Function ${un}WaitUntilClosed
  again:
  ${If} ${FileExists} "$INSTDIR\hearth.exe"
    ClearErrors
    FileOpen $0 "$INSTDIR\hearth.exe" a
    ${If} ${Errors}
      MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(RUNNING)" /SD IDCANCEL IDRETRY again
      SetErrorLevel 4
      Quit
    ${EndIf}
    FileClose $0
  ${EndIf}
FunctionEnd
!macroend
!insertmacro WaitUntilClosed ""
!insertmacro WaitUntilClosed "un."

Section "-program"
  Call WaitUntilClosed
  ; The former version is kept beside the new one, for a roll-back by hand.
  ${If} ${FileExists} "$INSTDIR\_internal\*.*"
    RMDir /r "$INSTDIR.previous"
    Rename "$INSTDIR" "$INSTDIR.previous"
  ${EndIf}
  SetOutPath "$INSTDIR"
  File /r "${PROGRAM}\*.*"
  WriteUninstaller "$INSTDIR\uninstall.exe"

  CreateDirectory "$SMPROGRAMS\${NAME}"
  CreateShortcut "$SMPROGRAMS\${NAME}\${NAME}.lnk" "$INSTDIR\hearth.exe"
  CreateShortcut "$SMPROGRAMS\${NAME}\$(NEWCHAT).lnk" "$INSTDIR\hearth.exe" "--new-chat"

  ; A double click on a model: offered beside others, taken only where no program has the type yet.
  WriteRegStr HKCU "Software\Classes\${TYPE}" "" "GGUF language model"
  WriteRegStr HKCU "Software\Classes\${TYPE}\DefaultIcon" "" "$INSTDIR\hearth.exe,0"
  WriteRegStr HKCU "Software\Classes\${TYPE}\shell\open\command" "" '"$INSTDIR\hearth.exe" "%1"'
  WriteRegStr HKCU "Software\Classes\.gguf\OpenWithProgids" "${TYPE}" ""
  ReadRegStr $0 HKCU "Software\Classes\.gguf" ""
  ${If} $0 == ""
    WriteRegStr HKCU "Software\Classes\.gguf" "" "${TYPE}"
  ${EndIf}
  WriteRegStr HKCU "Software\Microsoft\Windows\CurrentVersion\App Paths\hearth.exe" "" "$INSTDIR\hearth.exe"

  WriteRegStr HKCU "${KEY}" "DisplayName" "${NAME}"
  WriteRegStr HKCU "${KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${KEY}" "DisplayIcon" "$INSTDIR\hearth.exe"
  WriteRegStr HKCU "${KEY}" "Publisher" "The Hearth authors"
  WriteRegStr HKCU "${KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${KEY}" "EstimatedSize" ${SIZE_KB}
  WriteRegDWORD HKCU "${KEY}" "NoModify" 1
  WriteRegDWORD HKCU "${KEY}" "NoRepair" 1
  System::Call 'shell32::SHChangeNotify(i 0x08000000, i 0, p 0, p 0)'
SectionEnd

Section "un.$(SECPROGRAM)" UNPROGRAM
  SectionIn RO
  Call un.WaitUntilClosed
  RMDir /r "$INSTDIR\_internal"
  RMDir /r "$INSTDIR\licenses"
  Delete "$INSTDIR\hearth.exe"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  RMDir /r "$INSTDIR.previous"
  RMDir /r "$SMPROGRAMS\${NAME}"
  DeleteRegKey HKCU "Software\Classes\${TYPE}"
  DeleteRegValue HKCU "Software\Classes\.gguf\OpenWithProgids" "${TYPE}"
  ReadRegStr $0 HKCU "Software\Classes\.gguf" ""
  ${If} $0 == "${TYPE}"
    DeleteRegValue HKCU "Software\Classes\.gguf" ""
  ${EndIf}
  DeleteRegKey HKCU "Software\Microsoft\Windows\CurrentVersion\App Paths\hearth.exe"
  DeleteRegKey HKCU "${KEY}"
  System::Call 'shell32::SHChangeNotify(i 0x08000000, i 0, p 0, p 0)'
SectionEnd

; Off unless the person, or /DELETEDATA, asks for it.
Section /o "un.$(SECDATA)" UNDATA
  RMDir /r "$LOCALAPPDATA\${NAME}"
SectionEnd

Function un.onInit
  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/DELETEDATA" $1
  ${IfNot} ${Errors}
    SectionSetFlags ${UNDATA} ${SF_SELECTED}
  ${EndIf}
FunctionEnd
